// A client on MQTT.js: mqttjs.js PORT CA|- DOWN UP RUNS. With - for the CA nothing is verified.
'use strict'
const fs = require('fs')
const mqtt = require('mqtt')

const [port, ca, down, up, runs] = process.argv.slice(2)
const verify = ca === '-' ? { rejectUnauthorized: false } : { ca: fs.readFileSync(ca) }

async function run() {
    const client = await mqtt.connectAsync(`mqtts://localhost:${port}`, {
        ...verify,
        reconnectPeriod: 0,
        connectTimeout: 20000,
    })
    const message = new Promise((resolve) => client.on('message', (_, payload) => resolve(payload)))
    await client.subscribeAsync(down)
    await client.publishAsync(up, await message, { qos: 1 })
    await client.endAsync()
}

async function main() {
    for (let left = Number(runs); left > 0; left--) await run()
}

main().catch((error) => {
    console.error(String(error))
    process.exit(1)
})
