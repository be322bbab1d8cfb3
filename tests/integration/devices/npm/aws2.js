// A device on the AWS IoT SDK for JavaScript, version 2, whose TLS is not Node's:
// aws2.js PORT CA DOWN UP RUNS CERTIFICATE KEY. It offers x-amzn-mqtt-ca by itself.
'use strict'
const { iot, mqtt } = require('aws-iot-device-sdk-v2')

const [port, ca, down, up, runs, certificate, key] = process.argv.slice(2)
const config = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(certificate, key)
    .with_certificate_authority_from_path(undefined, ca)
    .with_clean_session(true)
    .with_client_id('aws-2')
    .with_endpoint('localhost')
    .with_port(Number(port))
    .build()
const client = new mqtt.MqttClient()

async function run() {
    const connection = client.new_connection(config)
    await connection.connect()
    const message = new Promise((resolve) => {
        connection.subscribe(down, mqtt.QoS.AtMostOnce, (_, payload) => resolve(payload))
    })
    await connection.publish(up, await message, mqtt.QoS.AtLeastOnce)
    await connection.disconnect()
}

async function main() {
    for (let left = Number(runs); left > 0; left--) await run()
}

main().catch((error) => {
    console.error(String(error))
    process.exit(1)
})
