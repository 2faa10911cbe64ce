// Requests that are decided on the device, as options of a call.

import { MBOXES, VIEWS } from "./artifacts.mjs";

const WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)";
export const USER_AGENTS = [
  `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/120.0.0.0 Safari/537.36`,
  `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_2) ${WEBKIT} Chrome/79.0.3945.130 Safari/537.36`,
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:73.0) Gecko/20100101 Firefox/73.0",
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_3) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.5 Safari/605.1.15",
  "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
  "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
  `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763`,
  `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91`,
  `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${WEBKIT} Chrome/120.0.0.0 Safari/537.36 OPR/106.0.0.0`,
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (iPad; CPU OS 13_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0.4 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.6099.119 Mobile/15E148 Safari/604.1",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/121.0 Mobile/15E148 Safari/605.1.15",
  `Mozilla/5.0 (Linux; Android 10; K) ${WEBKIT} Chrome/120.0.0.0 Mobile Safari/537.36`,
  `Mozilla/5.0 (Linux; Android 9; SM-G960F Build/PPR1.180610.011; wv) ${WEBKIT} Version/4.0 Chrome/87.0.4280.101 Mobile Safari/537.36`,
  `Mozilla/5.0 (Linux; Android 11; SAMSUNG SM-G973U) ${WEBKIT} SamsungBrowser/14.2 Chrome/83.0.4103.106 Mobile Safari/537.36`,
  "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
  `Mozilla/5.0 (X11; Linux x86_64) ${WEBKIT} Chrome/120.0.0.0 Safari/537.36`,
  `Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${WEBKIT} Chrome/120.0.0.0 Safari/537.36`,
  "Mozilla/5.0 (X11; FreeBSD amd64; rv:109.0) Gecko/20100101 Firefox/115.0",
  "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
  "curl/8.4.0",
  "",
  "Opera/9.80 (Windows NT 6.1; WOW64) Presto/2.12.388 Version/12.18",
  "Mozilla/5.0 (Macintosh; U; PPC Mac OS X; en) AppleWebKit/125.2 (KHTML, like Gecko) Safari/125.8",
  "Mozilla/5.0 (Linux; U; Android 2.2; en-us) AppleWebKit/533.1 (KHTML, like Gecko) Version/4.0 Mobile Safari/533.1",
  "Mozilla/5.0 (iPhone; CPU iPhone OS 13_3 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) EdgiOS/44.11.15 Mobile/15E148 Safari/605.1.15",
  `Mozilla/5.0 (Linux; Android 10; HD1913) ${WEBKIT} Chrome/120.0.0.0 Mobile Safari/537.36 EdgA/119.0.2151.92`,
];

export const URLS = [
  "https://www.example.com/shop/cart?a=1&b=%20x#top", "http://shop.example.co.uk/Path/TO?Q=1", "http://example.com", "HTTP://WWW.Example.COM/P",
  "https://sub.github.io/", "http://local-target-test:8080/", "http://co.uk/", "http://127.0.0.1/x?y", "http://a.local/", "http://exa_mple.com/",
  "foo.com/x", "//foo.com/x", "/just/path?q=1", "?q=1", "#frag", "http://user:pw@foo.com:81/x", "http://münchen.de/Straße?ü#ö", "", "not a url",
  "http://example.com.", "http://www.blog.foo.com/a/b.html", "http://h.com#!/spa/route?x=1", "http://h.com?q=a?b", "https://news.example.com/ABC//def/../x",
  "ftp://files.example.org/a;b=c", "http://test.wayne-enterprises.us-east-1.elasticbeanstalk.com/x", "https://a.b.c.d.example.com:8443/?", "http://example.com:80/#",
  "https://example.com/%E2%9C%93?x=%", "http://www.com/", "http://www/", "http://-a.com/", "http://a..com/", "http://example.com/?a=http://other.com/p#z",
  "https://example.com/path with blank", "javascript:alert(1)", "mailto:bob@example.com", "about:blank", "file:///etc/hosts", "example", "http://x.y.kawasaki.jp/",
  "http://foo.ck/", "http://www.ck/", "http://日本.jp/パス", "https://EXAMPLE.com/Ünïcode?É=È", "http://1.2.3.4.example.net", "http://example.museum/x#y?z",
];
/** Addresses that the reference takes apart wrongly. */
export const MISREAD_URLS = [
  "http://www2.foo.com/", "http://wwwfoo.bar.com/x", "http://h.com/~u@x/y", "localhost:3000/x", "http://[::1]:8080/x", "http://example.com/?mail=a@b.c",
];

export const CLIENT = "acme";
export const ORGANIZATION = "ABCDEF0123456789@AdobeOrg";

export function parameters(random, tags) {
  const made = {};
  const candidates = [
    ["user", () => random.pick(["bob", "BOB", "Bob", "", "x", "ÉCOLE", "10", "a \"quoted\" \\ text"])],
    ["User", () => "Upper"],
    ["n", () => random.pick([0, 1, 9, -1, 1.5, 42, 1e21, "1", "01"])],
    ["flag", () => random.pick([true, false, "true"])],
    ["none", () => null],
    ["a.b", () => random.pick(["Dotted", "abc", 1, null])],
    ["a.b2.c", () => "Deep"],
    ["c..d", () => "Twice"],
    [".x", () => "Before"],
    ["y.", () => "After"],
    ["empty", () => ""],
    ["uni", () => random.pick(["École", "İ", "ΑΣ", "ẞ", "日本"])],
    ["list", () => random.pick([[], ["a", "b"], [1, 2, 3], "not a list"])],
    ["obj", () => ({ inner: "Deep", more: { X: "Y" } })],
    ["profile.age", () => random.pick(["42", 42])],
    ["user_lc", () => "taken"],
    ["length", () => "3"],
    ["toString", () => "own"],
    ["7", () => "seven"],
  ];
  for (const [name, value] of candidates) {
    if (random.chance(0.3)) made[name] = value();
  }
  if (random.chance(0.015)) {
    tags.push("dotted-conflict");
    delete made["a.b"];
    delete made["a.b2.c"];
    return random.chance(0.5) ? { a: "Leaf", "a.b": "Dotted", ...made } : { "a.b": "Dotted", a: "Leaf", ...made };
  }
  return made;
}

function url(random, tags, probability = 0.02) {
  if (random.chance(probability)) {
    tags.push("misread-url");
    return random.pick(MISREAD_URLS);
  }
  return random.pick(URLS);
}

function address(random, tags) {
  const made = {};
  if (random.chance(0.9)) made.url = url(random, tags);
  if (random.chance(0.5)) made.referringUrl = url(random, tags);
  return made;
}

const HINTS = [
  { browserUAWithMajorVersion: '" Not A;Brand";v="99", "Chromium";v="120", "Google Chrome";v="120"', platform: "macOS", mobile: false },
  { browserUAWithFullVersion: '"Microsoft Edge";v="121.0.1", "Chromium";v="121.0"', platform: "Windows" },
  { browserUAWithMajorVersion: '"Firefox";v="99"', platform: "Linux", mobile: true },
  { browserUAWithMajorVersion: '"Unknown";v="9"', platform: "Plan 9" },
  { platform: "Android", mobile: true },
  { browserUAWithFullVersion: '"Safari";v="17.2"' },
  {},
];

function geo(random) {
  return random.pick([
    { city: "SAN FRANCISCO", stateCode: "CA", countryCode: "US", latitude: 37.75, longitude: -122.4 },
    { countryCode: "US" },
    { latitude: 0, longitude: 0 },
    { ipAddress: "127.0.0.300", city: "Bern" },
    { ipAddress: "12.21.1.40", countryCode: "CA" },
    { zip: "94105", city: "Bern" },
    {},
  ]);
}

export function context(random, tags) {
  const made = { channel: "web" };
  if (random.chance(0.03)) {
    made.channel = "mobile";
    tags.push("mobile");
  }
  if (random.chance(0.75)) made.userAgent = random.pick(USER_AGENTS);
  if (random.chance(0.75)) made.address = address(random, tags);
  if (random.chance(0.12)) made.clientHints = { ...random.pick(HINTS) };
  if (random.chance(0.35)) made.geo = geo(random);
  if (random.chance(0.93)) made.timeOffsetInMinutes = random.pick([0, 60, -480]);
  if (random.chance(0.05)) made.browser = { host: "example.com", language: "de" };
  return made;
}

/** Details of an item: parameters and maybe an address of its own. */
function details(random, tags) {
  const made = {};
  if (random.chance(0.75)) made.parameters = parameters(random, tags);
  if (random.chance(0.06)) {
    made.address = address(random, tags);
    tags.push("item-address");
  }
  if (random.chance(0.05)) made.profileParameters = { gender: "f", n: 1 };
  if (random.chance(0.03)) made.order = { id: "o1", total: 12.5, purchasedProductIds: ["a", "b"] };
  if (random.chance(0.03)) made.product = { id: "p", categoryId: "c" };
  return made;
}

function mboxes(random, names, tags) {
  return random.times(random.int(1, 3), () => {
    const mbox = { name: random.pick(names), ...details(random, tags) };
    if (random.chance(0.5)) mbox.index = random.int(0, 5);
    return mbox;
  });
}

export function id(random, tags) {
  switch (random.int(0, 9)) {
    case 0:
      return { marketingCloudVisitorId: String(random.int(1e9, 2e9)), tntId: `t${random.int(1, 1e6)}.28_0` };
    case 1:
      return { thirdPartyId: `third.${random.int(1, 1e6)}` };
    case 2:
      return { thirdPartyId: "third", customerIds: [{ id: "c1", integrationCode: "crm", authenticatedState: "authenticated" }], tntId: `${random.hex(32)}.35_0` };
    case 3:
      return { marketingCloudVisitorId: `mc-${random.int(1, 1e6)}-é😀` };
    case 4:
      if (random.chance(0.9)) return { tntId: `x${random.int(1, 1e6)}.a.b` };
      tags.push("blank-visitor");
      return { tntId: ".28_0", thirdPartyId: "whole.third" };
    default:
      return { tntId: random.hex(32) + random.pick(["", ".28_0", ".35_0"]) };
  }
}

/** Options of a call for an artifact whose rules are about `mboxNames` and `viewNames`. */
export function offers(random, made, { known = true } = {}) {
  const tags = [];
  const globalMbox = made.artifact.globalMbox ?? "target-global-mbox";
  const names = [...MBOXES, globalMbox, globalMbox, "unknown mbox"];
  const request = {};
  if (random.chance(0.7)) request.requestId = `request-${random.int(1, 1e6)}`;
  if (random.chance(0.2)) request.impressionId = `impression-${random.int(1, 1e6)}`;
  if (known) request.id = id(random, tags);
  else if (random.chance(0.4)) {
    request.id = { customerIds: [{ id: "c1", integrationCode: "crm", authenticatedState: random.pick(["authenticated", "unknown"]) }] };
    if (request.id.customerIds[0].authenticatedState === "authenticated") tags.push("customer-only");
  }
  if (random.chance(0.85)) request.context = context(random, tags);
  if (random.chance(0.3)) request.property = { token: random.pick(["prop-1", "prop-2", "prop-3", "prop-9", ""]) };
  if (random.chance(0.3)) request.trace = { authorizationToken: "token", ...(random.chance(0.3) ? { usage: { a: "b" } } : {}) };
  if (random.chance(0.05)) request.environmentId = random.int(1, 999);
  for (const mode of ["execute", "prefetch"]) {
    if (!random.chance(mode === "execute" ? 0.7 : 0.5)) continue;
    const asked = {};
    if (random.chance(0.7)) asked.mboxes = mboxes(random, names, tags);
    if (random.chance(0.4)) asked.pageLoad = details(random, tags);
    if (mode === "prefetch" && random.chance(0.5)) {
      asked.views = random.times(random.int(1, 2), () => {
        const view = random.chance(0.3) ? {} : { name: random.pick([...VIEWS, "unknown view"]) };
        return { ...view, ...details(random, tags) };
      });
      if (asked.views.some(view => !view.name) && asked.views.some(view => view.name)) tags.push("mixed-views");
    }
    if (Object.keys(asked).length || random.chance(0.3)) request[mode] = asked;
  }
  const options = { request, sessionId: `session-${random.int(1, 1e6)}` };
  if (random.chance(0.15)) options.targetLocationHint = random.pick(["28", "35"]);
  if (random.chance(0.05)) options.consumerId = "other-consumer";
  if (Object.keys(request).length === 0) request.requestId = "only-an-id";
  return { options, tags };
}

/** Puts null, or something of a type that no SDK takes, where the Delivery API has a member that may be absent. `decided`: the visitor is known, and
 * must stay so for the answers to be comparable. */
export function disturb(random, request, tags, decided) {
  const wrong = random.chance(0.25);
  const places = [
    [request, ["requestId", "impressionId", "environmentId", "context", "execute", "prefetch", "trace", "experienceCloud", "qaMode"]],
    [decided ? undefined : request.id, ["tntId", "thirdPartyId", "marketingCloudVisitorId", "customerIds"]],
    [request.context, ["channel", "userAgent", "address", "geo", "clientHints", "browser", "mobilePlatform", "screen"]],
    [request.context?.address, ["url", "referringUrl"]],
    [request.context?.geo, ["city", "countryCode", "latitude", "ipAddress"]],
    [request.context?.clientHints, ["platform", "mobile", "browserUAWithMajorVersion"]],
    ...["execute", "prefetch"].flatMap(mode => [
      [request[mode], mode === "prefetch" ? ["mboxes", "pageLoad", "views"] : ["mboxes", "pageLoad"]],
      ...[request[mode]?.pageLoad, ...(request[mode]?.mboxes ?? []), ...(request[mode]?.views ?? [])].map(item => [item, ["parameters", "address", "order", "product", "profileParameters"]]),
    ]),
  ].filter(([object]) => object && typeof object === "object");
  const [object, members] = random.pick(places);
  const member = random.pick(members);
  if (wrong && object[member] !== undefined) {
    object[member] = Array.isArray(object[member]) || typeof object[member] === "object" ? random.pick(["text", 7, true]) : [object[member]];
    tags.push("wrong-type");
  } else if (!(object === request && member === "context")) {
    object[member] = null;
    tags.push("null");
  }
}
