// The same decision by Adobe's Node SDK: node peer_node.cjs SDK-PACKAGE ARTIFACT.json REQUEST.json DECISIONS ROUNDS
//
// Awaited one after the other, warm, telemetry off. Prints one line of JSON: microseconds per decision of each round, and the answer.
"use strict";
const fs = require("node:fs");
const [sdk, artifactFile, requestFile, decisions, rounds] = process.argv.slice(2);
const TargetClient = require(sdk);
const read = (file) => JSON.parse(fs.readFileSync(file, "utf8"));

async function measure(client) {
  const options = { request: read(requestFile), sessionId: "bench" };
  const decide = () => client.getOffers(options);
  let answer;
  for (let i = 0; i < 2000; i += 1) answer = await decide(); // until the compiler has done its work
  const us = [];
  for (let round = 0; round < Number(rounds); round += 1) {
    const started = process.hrtime.bigint();
    for (let i = 0; i < Number(decisions); i += 1) answer = await decide();
    us.push(Number(process.hrtime.bigint() - started) / 1e3 / Number(decisions));
  }
  console.log(JSON.stringify({ us, response: answer.response }));
}

const client = TargetClient.create({
  client: "acme",
  organizationId: "1234@AdobeOrg",
  decisioningMethod: "on-device",
  artifactPayload: read(artifactFile),
  pollingInterval: 0,
  telemetryEnabled: false,
  serverDomain: "127.0.0.1:9",
  targetLocationHint: "28", // otherwise it asks the server for one before it is ready
  logger: { debug() {}, error: console.error },
  fetchApi: () => { throw new Error("a decision went to the network"); },
  events: {
    clientReady: () => measure(client).then(() => process.exit(0), (error) => { console.error(error); process.exit(1); })
  }
});
