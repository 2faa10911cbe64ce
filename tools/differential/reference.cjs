// Answers the cases with the Node SDK: node reference.cjs FOLDER-OF-THE-SDK < cases > answers
//
// Nothing leaves the process: every fetch is answered here. The clock stands at the case's time.

const RealDate = Date;
let now = 0;
global.Date = class extends RealDate {
  constructor(...given) {
    if (given.length) super(...given);
    else super(now);
  }

  static now() {
    return now;
  }
};

const sent = [];
let place;
let answer;
const json = value => new Response(JSON.stringify(value), { status: 200, headers: { "content-type": "application/json" } });

// The SDK takes this one for the geo look-up, whatever it is configured with.
global.fetch = async url => {
  if (String(url).endsWith("/v1/geo")) return json(place ?? {});
  throw new Error(`no network here: ${url}`);
};

async function fetchApi(url, { headers, body } = {}) {
  sent.push({ url, headers: { ...headers }, body: JSON.parse(body) });
  return json(answer ?? {});
}

// What the SDK puts off to the next tick is run when the case says so; its time limits are not needed.
const put = [];
global.setTimeout = (run, ms, ...given) => {
  if (!ms) put.push(() => run(...given));
  return 0;
};
async function tick() {
  for (let at = 0; at < 3; at += 1) {
    while (put.length) put.shift()();
    await new Promise(setImmediate);
  }
}

// The operator `log` of JSON Logic would write among the answers.
console.log = () => {};

const TargetClient = require(process.argv[2]);

function plain(value) {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

let artifactText;
let artifacts = 0;
let client;
let clientKey;

async function clientOf(config, fresh) {
  const key = `${artifacts} ${place !== undefined} ${JSON.stringify(config)}`;
  if (key === clientKey && !fresh) return client;
  const own = { ...config, fetchApi };
  answer = undefined;
  let failed;
  if (config.decisioningMethod === "server-side") {
    client = TargetClient.create(own);
  } else {
    own.artifactPayload = JSON.parse(artifactText);
    own.logger = { debug() {}, error: (_, ...message) => (failed = message.join(" ")) };
    await new Promise(done => {
      own.events = { clientReady: done };
      client = TargetClient.create(own);
      tick().then(tick).then(done);
    });
    if (!client.decisioningEngine) throw new Error(`the client is not ready: ${failed}`);
  }
  clientKey = key;
  return client;
}

async function run(line) {
  now = line.nowMs;
  place = line.place;
  // the cluster of an answer sticks to a client of the SDK: each call for the server has its own
  const target = await clientOf(line.config, line.kind !== "offers" || line.place !== undefined);
  target.config.targetLocationHint = line.config.targetLocationHint;
  sent.length = 0;
  put.length = 0;
  answer = line.answer;
  const out = { id: line.id };
  try {
    const options = JSON.parse(JSON.stringify(line.options));
    const call = line.kind === "notifications" ? target.sendNotifications(options) : target.getOffers(options);
    out.envelope = plain(await call);
  } catch (error) {
    out.error = { kind: error.name, message: error.message };
  }
  if (line.kind === "offers" && line.config.decisioningMethod === "hybrid" && sent.length) {
    return { id: line.id, remote: true };
  }
  if (line.kind === "offers") {
    answer = undefined;
    await tick();
    out.notifications = plain(sent.flatMap(({ body }) => body.notifications ?? []));
  } else if (sent.length) {
    Object.assign(out, { url: sent[0].url, headers: sent[0].headers, request: sent[0].body });
  }
  return out;
}

async function main() {
  const input = require("node:fs").readFileSync(0, "utf8");
  const out = [];
  for (const text of input.split("\n")) {
    if (!text) continue;
    const line = JSON.parse(text);
    if (line.artifact) {
      artifactText = JSON.stringify(line.artifact);
      artifacts += 1;
    } else {
      out.push(JSON.stringify(await run(line)));
    }
  }
  require("node:fs").writeFileSync(1, `${out.join("\n")}\n`);
  process.exit(0);
}

main().catch(error => {
  console.error(error);
  process.exit(1);
});
