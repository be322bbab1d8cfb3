// A device on the AWS IoT SDK for JavaScript, version 1: aws1.js PORT CA DOWN UP RUNS CERTIFICATE KEY.
'use strict'
const aws = require('aws-iot-device-sdk')

const [port, caPath, down, up, runs, certPath, keyPath] = process.argv.slice(2)

function fail(error) {
    console.error(String(error))
    process.exit(1)
}

function run(left) {
    if (left === 0) return
    const device = aws.device({
        host: 'localhost', port: Number(port), caPath, certPath, keyPath, clientId: 'aws-1',
        ALPNProtocols: ['x-amzn-mqtt-ca'],
    })
    device.on('connect', () => device.subscribe(down))
    device.on('message', (_, payload) => {
        device.publish(up, payload, { qos: 1 }, (error) => {
            if (error) fail(error)
            device.end(false, () => run(left - 1))
        })
    })
    device.on('error', fail)
}

setTimeout(() => fail('no answer in time'), 20000).unref() // it would try again for ever
run(Number(runs))
