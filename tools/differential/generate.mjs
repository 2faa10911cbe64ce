// Writes the cases as JSON lines: node generate.mjs SEED ARTIFACTS CALLS DELIVERIES

import { artifact } from "./artifacts.mjs";
import { delivery } from "./deliveries.mjs";
import { now } from "./logic.mjs";
import { Random } from "./random.mjs";
import { CLIENT, disturb, offers, ORGANIZATION } from "./requests.mjs";

const [seed, artifacts, calls, deliveries] = process.argv.slice(2).map(Number);
const random = new Random(seed);
const lines = [];
let id = 0;

function place(made, request) {
  const geo = request.context?.geo;
  const fields = ["latitude", "longitude", "countryCode", "stateCode", "city"];
  if (made.geoTargetingEnabled !== true || !geo?.ipAddress || fields.some(field => geo[field] !== undefined)) return undefined;
  return random.pick([
    { "x-geo-latitude": 37.75, "x-geo-longitude": -122.4, "x-geo-country-code": "US", "x-geo-region-code": "CA", "x-geo-city": "SAN FRANCISCO" },
    { "x-geo-latitude": "46.95", "x-geo-longitude": "7.45", "x-geo-country-code": "CH", "x-geo-city": null },
    { "x-forwarded-for": "12.21.1.40", "x-geo-city": "Bern" },
    {},
  ]);
}

for (let at = 0; at < artifacts; at += 1) {
  const known = !random.chance(0.08);
  const made = artifact(random, { allocation: known });
  lines.push({ artifact: made.artifact });
  const config = { client: CLIENT, organizationId: ORGANIZATION, decisioningMethod: "on-device", pollingInterval: 0, telemetryEnabled: false };
  if (random.chance(0.3)) config.propertyToken = random.pick(["prop-1", "prop-2"]);
  if (random.chance(0.1)) config.environmentId = 12;
  if (random.chance(0.1)) config.decisioningMethod = "hybrid";
  for (let call = 0; call < calls; call += 1) {
    const { options, tags } = offers(random, made, { known });
    // now and then the visitor's place is only known by address
    if (made.artifact.geoTargetingEnabled === true && config.decisioningMethod === "on-device" && options.request.context && random.chance(0.06)) {
      options.request.context.geo = { ipAddress: random.pick(["12.21.1.40", " 12.21.1.40 ", "2001:db8::1", "unknownIpAddress", "::ffff:1.2.3.4"]) };
    }
    if (known && random.chance(0.06)) disturb(random, options.request, tags, true);
    id += 1;
    lines.push({
      id, kind: "offers", config, options, nowMs: now(random), place: config.decisioningMethod === "on-device" ? place(made.artifact, options.request) : undefined,
      tags: [...made.tags, ...tags, ...(known ? [] : ["unknown-visitor"])],
    });
  }
}
for (let at = 0; at < deliveries; at += 1) {
  const kind = random.chance(0.25) ? "notifications" : "delivery";
  const nowMs = now(random);
  const made = delivery(random, kind, nowMs);
  if (random.chance(0.15)) disturb(random, made.options.request, made.tags, false);
  id += 1;
  lines.push({ id, kind, nowMs, ...made });
}
process.stdout.write(`${lines.map(line => JSON.stringify(line)).join("\n")}\n`);
