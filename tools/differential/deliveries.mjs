// Calls for the server: options of offers and notifications, and what the server answers.

import { context, id, parameters } from "./requests.mjs";

const SDID = "4832DCA602B34B1B-02B46127CD5D8C63";

function targetCookie(random, tags, nowMs) {
  const seconds = Math.ceil(nowMs / 1000);
  const expiry = () => seconds + random.pick([1, 1860, 63244800, 0, -1, -1000]);
  const parts = [];
  if (random.chance(0.7)) parts.push(`session#${random.pick(["s1", "a%20b", "9f1c"])}#${expiry()}`);
  if (random.chance(0.7)) parts.push(`PC#${random.pick(["t1.28_0", "t2", "t3.35_1", "t4.a.b", "t5.28", "t6._0", "t7.28_0_1"])}#${expiry()}`);
  if (random.chance(0.1)) parts.push(random.pick(["other#x#1999999999", "", "broken", "a#b", `check#true#${expiry()}`, "session#late#1999999999"]));
  if (random.chance(0.05)) parts.push(`PC#junk#${random.pick(["soon", "", "9x"])}`);
  if (random.chance(0.03)) {
    parts.push("session#%E0%A4%A#1999999999");
    tags.push("malformed-cookie");
  }
  return parts.join("|");
}

function visitorCookie(random, tags, nowMs) {
  const seconds = Math.floor(nowMs / 1000);
  const parts = [];
  if (random.chance(0.7)) parts.push("-1330315163", "MCIDTS|18145");
  if (random.chance(0.85)) parts.push(`MCMID|0732702432440761585229413587003062${random.int(1000, 9999)}`);
  let until = seconds + random.int(1, 100000);
  if (random.chance(0.1)) {
    until = seconds - random.int(1, 100000);
    tags.push("expired-audience-manager");
  }
  if (random.chance(0.7)) parts.push(`MCAAMLH-${until}|${random.pick(["9", "6", "0"])}`);
  if (random.chance(0.7)) parts.push(`MCAAMB-${until}|RKhpRz8krg2tLO6pguXWp5olkAcUniQYPHaMWWgdJ3xzPWQmdj0y`);
  if (random.chance(0.3)) parts.push(`MCOPTOUT-${until}s|NONE`, "vVersion|4.4.0");
  if (random.chance(0.03)) {
    parts.push("MCAAMB|NONE");
    tags.push("expired-audience-manager");
  }
  const text = parts.join("|");
  return random.chance(0.4) ? encodeURIComponent(text) : text;
}

function customerIds(random) {
  const made = {};
  if (random.chance(0.8)) made.crm = { id: "u-1", authState: random.pick([0, 1, 2]) };
  if (random.chance(0.4)) made.other = "plain";
  if (random.chance(0.3)) made.noState = { id: "u-2" };
  return made;
}

function experienceCloud(random, tags) {
  const made = {};
  if (random.chance(0.7)) {
    made.analytics = {};
    if (random.chance(0.4)) made.analytics.logging = random.pick(["server_side", "client_side", ""]);
    if (random.chance(0.4)) made.analytics.trackingServer = random.pick(["tracking.example.com", ""]);
    if (random.chance(0.3)) made.analytics.trackingServerSecure = "secure.example.com";
    if (random.chance(0.15)) {
      made.analytics.supplementalDataId = SDID;
      tags.push("own-sdid");
    }
  }
  if (random.chance(0.4)) {
    made.audienceManager = {};
    if (random.chance(0.7)) made.audienceManager.locationHint = random.pick([1, 9]);
    if (random.chance(0.7)) made.audienceManager.blob = random.pick(["blob", ""]);
  }
  return made;
}

function item(random, tags) {
  const made = {};
  if (random.chance(0.6)) made.parameters = parameters(random, []);
  if (random.chance(0.3)) made.profileParameters = { age: 7, name: "x", gone: null };
  if (random.chance(0.2)) {
    const time = random.pick(["2026-01-02T03:04:05.000Z", "2026-01-02", 1767323045678]);
    made.order = { id: "o", total: random.pick([0, 12.5]), purchasedProductIds: ["a"], time };
  }
  if (random.chance(0.2)) made.product = { id: "p", categoryId: "c" };
  if (random.chance(0.2)) made.address = { url: "https://example.com/item", referringUrl: "https://example.com/before" };
  if (random.chance(0.03)) {
    made.unknownMember = { a: 1 };
    tags.push("unknown-member");
  }
  return made;
}

function mboxes(random, tags) {
  return random.times(random.int(1, 4), () => {
    const mbox = { name: random.pick(["a", "b c", "ü", "target-global-mbox"]), ...item(random, tags) };
    if (random.chance(0.4)) mbox.index = random.pick([0, 1, 7]);
    if (random.chance(0.08)) {
      mbox.name = "";
    }
    return mbox;
  });
}

function views(random, tags) {
  return random.times(random.int(1, 2), () => {
    const view = random.chance(0.2) ? {} : { name: random.pick(["home", ""]), ...(random.chance(0.3) ? { key: "k" } : {}) };
    return { ...view, ...item(random, tags) };
  });
}

function notification(random, nowMs) {
  const made = { id: `n${random.int(1, 99)}`, timestamp: nowMs, type: random.pick(["display", "click"]) };
  if (random.chance(0.8)) made.tokens = random.pick([["tok1"], ["tok1", "tok2"], []]);
  if (random.chance(0.6)) made.mbox = { name: "a", ...(random.chance(0.3) ? { state: "s" } : {}) };
  if (random.chance(0.3)) made.view = { name: "home", key: "k" };
  if (random.chance(0.3)) made.impressionId = "imp";
  if (random.chance(0.3)) made.parameters = { a: "b" };
  if (random.chance(0.2)) made.address = { url: "https://example.com/" };
  if (random.chance(0.15)) Object.assign(made, random.pick([{ id: "" }, { type: "view" }]));
  return made;
}

/** A call of `kind` (`delivery` or `notifications`). */
export function delivery(random, kind, nowMs) {
  const tags = [];
  const config = { client: "acme", organizationId: random.pick(["ABCDEF0123456789@AdobeOrg", "ORG"]), decisioningMethod: "server-side", telemetryEnabled: false };
  if (random.chance(0.2)) config.serverDomain = "target.example.com";
  if (random.chance(0.15)) config.secure = random.pick([true, false]);
  if (random.chance(0.2)) config.targetLocationHint = "35";
  if (random.chance(0.2)) config.environmentId = random.pick([7, 0]);
  if (random.chance(0.3)) config.propertyToken = "prop-config";
  if (random.chance(0.1)) config.version = "2.9.0";
  const request = {};
  if (random.chance(0.6)) request.requestId = `request-${random.int(1, 1e6)}`;
  if (random.chance(0.2)) request.impressionId = "impression";
  if (random.chance(0.5)) request.id = random.chance(0.9) ? id(random, []) : random.pick([{ tntId: "" }, { thirdPartyId: "", marketingCloudVisitorId: "m" }, {}]);
  if (random.chance(0.6)) request.context = context(random, tags);
  if (random.chance(0.3)) request.property = { token: random.pick(["prop-request", "prop-config", ""]) };
  if (random.chance(0.2)) request.trace = { authorizationToken: "t", usage: { key: "value" } };
  if (random.chance(0.2)) request.environmentId = random.pick([11, 0]);
  if (random.chance(0.3)) request.experienceCloud = experienceCloud(random, tags);
  if (random.chance(0.15)) request.qaMode = { token: "q", listedActivitiesOnly: true, evaluateAsTrueAudienceIds: [1, 2], previewIndexes: [{ activityIndex: 1, experienceIndex: 2 }] };
  if (random.chance(0.1)) request.preview = { token: "p" };
  if (random.chance(0.03)) {
    request.somethingNew = { a: [1] };
    tags.push("unknown-member");
  }
  if (kind === "notifications") {
    request.notifications = random.times(random.int(1, 3), () => notification(random, nowMs));
  } else {
    for (const mode of ["execute", "prefetch"]) {
      if (!random.chance(0.6)) continue;
      const asked = {};
      if (random.chance(0.7)) asked.mboxes = mboxes(random, tags);
      if (random.chance(0.4)) asked.pageLoad = item(random, tags);
      if (mode === "prefetch" && random.chance(0.4)) asked.views = views(random, tags);
      if (random.chance(0.05)) asked.mboxes = [];
      request[mode] = asked;
    }
  }
  if (Object.keys(request).length === 0) request.requestId = "only-an-id";
  const options = { request };
  if (random.chance(0.6)) options.targetCookie = targetCookie(random, tags, nowMs);
  if (random.chance(0.5)) options.visitorCookie = visitorCookie(random, tags, nowMs);
  if (random.chance(0.3)) options.customerIds = customerIds(random);
  if (random.chance(0.6)) options.sessionId = random.pick(["given", "session with blank", "é/ü?"]);
  if (random.chance(0.2)) options.targetLocationHint = "28";
  if (random.chance(0.1)) options.consumerId = "consumer-2";
  return { config, options, answer: answer(random, request), tags };
}

function option(random) {
  const made = { type: random.pick(["html", "json", "actions"]), content: random.pick(["<p>", { a: 1 }, [{ type: "setHtml", content: "x" }]]) };
  if (random.chance(0.5)) made.responseTokens = random.pick([{}, { "activity.id": 7, "geo.city": "x" }]);
  if (random.chance(0.5)) made.eventToken = "tok";
  return made;
}

function answered(random, extra) {
  const made = { ...extra, options: random.times(random.int(0, 2), () => option(random)) };
  if (random.chance(0.5)) made.analytics = { payload: { pe: "tnt", tnta: `${random.int(1, 99)}:0:0|2` } };
  if (random.chance(0.3)) made.trace = { clientCode: "acme", n: random.int(1, 9) };
  if (random.chance(0.2)) made.metrics = [{ type: "click", eventToken: "m", selector: "#x" }];
  return made;
}

function answer(random, request) {
  const made = { status: 200, requestId: request.requestId ?? "server-made", client: "acme", id: { tntId: random.pick(["t1.28_0", "server.35_0", "plain"]) } };
  if (random.chance(0.2)) delete made.id;
  if (random.chance(0.6)) made.edgeHost = random.pick(["mboxedge28.tt.omtrdc.net", "mboxedge35.tt.omtrdc.net", "acme.tt.omtrdc.net", "localhost"]);
  for (const mode of ["execute", "prefetch"]) {
    const asked = request[mode];
    if (!asked) continue;
    made[mode] = {};
    if (asked.mboxes) made[mode].mboxes = asked.mboxes.map((mbox, index) => answered(random, { name: mbox.name, index }));
    if (asked.pageLoad) made[mode].pageLoad = answered(random, {});
    if (asked.views) made[mode].views = asked.views.map(view => answered(random, { name: view.name ?? "all" }));
  }
  if (request.notifications) made.notifications = request.notifications.map(sent => ({ id: sent.id }));
  return made;
}
