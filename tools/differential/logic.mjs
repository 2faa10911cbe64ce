// Conditions of rules: what Target writes, and JSON Logic that it does not.

const MBOX_VARS = [
  "mbox.user", "mbox.user_lc", "mbox.User", "mbox.a.b", "mbox.a.b_lc", "mbox.a.b.c", "mbox.n", "mbox.flag", "mbox.none",
  "mbox.none_lc", "mbox.list", "mbox.list.0", "mbox.obj.inner", "mbox.obj.inner_lc", "mbox.c..d", "mbox.missing",
  "mbox.user.length", "mbox.a", "mbox.empty", "mbox.uni_lc", "mbox.uni", "mbox.profile.age",
];
const PAGE_PARTS = ["url", "path", "query", "fragment", "subdomain", "domain", "topLevelDomain"];
const GEO_VARS = ["geo.country", "geo.region", "geo.city", "geo.latitude", "geo.longitude", "geo.zip"];
const USER_VARS = ["user.browserType", "user.platform", "user.browserVersion", "user.locale"];
const TIME_VARS = ["current_timestamp", "current_time", "current_day"];
const WHOLE_VARS = ["user", "page", "geo", "mbox", "referring", "allocation", "page.url.length", "user.locale.0", "", "page.{parameter=nina}"];

const TEXTS = [
  "bob", "BOB", "Bob", "1", "1.0", "01", "", " ", "true", "null", "abc", "é", "ÉCOLE", "école", "x", "10", "9", "-1", "1e2",
  "undefined", "NaN", "Infinity", "/path", "shop", "example.com", "com", "chrome", "windows", "safari", "0x10", "a,b", "[object Object]",
];
const NUMBERS = [0, 1, -1, 2, 3, 9, 10, 1.5, 50, 120, -0.5, 1e21, 1e-7, 100, 42];

export const DAY = 86_400_000;
export const BASE_TIME = Date.UTC(2026, 0, 5); // a Monday

export function now(random) {
  return BASE_TIME + random.int(0, 400) * DAY + random.int(0, 1439) * 60_000 + random.pick([0, 1, 59_999, 30_123]);
}

/** A condition as Target's artifacts have them. */
export function audience(random, { allocation = true } = {}) {
  const clauses = [];
  if (allocation && random.chance(0.55)) clauses.push(allocationRange(random));
  for (let at = random.int(clauses.length ? 0 : 1, 3); at > 0; at -= 1) clauses.push(clause(random));
  if (clauses.length === 1 && random.chance(0.4)) return clauses[0];
  return { and: clauses };
}

function allocationRange(random) {
  const variable = { var: "allocation" };
  const edges = random.pick([[0, 50], [50, 100], [0, 33.33], [33.33, 66.66], [0, 100], [25, 75], [0, 0], [99.99, 100]]);
  return random.chance(0.5)
    ? { "<=": [edges[0], variable, edges[1]] }
    : { and: [{ "<": [edges[0], variable] }, { "<=": [variable, edges[1]] }] };
}

function clause(random) {
  const kind = random.pick(["mbox", "mbox", "mbox", "page", "page", "referring", "user", "user", "geo", "time", "not", "or", "true"]);
  switch (kind) {
    case "mbox":
      return comparison(random, random.pick(MBOX_VARS), random.pick(TEXTS));
    case "page":
    case "referring": {
      const part = random.pick(PAGE_PARTS) + random.pick(["", "_lc"]);
      return comparison(random, `${kind}.${part}`, random.pick([...TEXTS, "www.", "a=1", "/shop/cart", "#", "http", "Example", "co.uk", "shop", "news"]));
    }
    case "user":
      return random.chance(0.3)
        ? { [random.pick(["<=", ">=", "<", ">", "=="])]: [{ var: "user.browserVersion" }, random.pick([17, 79, 83, 120, "120", -1, 11])] }
        : { "==": [random.pick(["chrome", "firefox", "safari", "edge", "ie", "mobile safari", "unknown", "windows", "mac", "linux", "iOS", "Android"]), { var: random.pick(USER_VARS) }] };
    case "geo":
      return comparison(random, random.pick(GEO_VARS), random.pick(["US", "CA", "SAN FRANCISCO", "Bern", 37.75, -122.4, "37.75", "us"]));
    case "time":
      return timeClause(random);
    case "not":
      return { "!": random.chance(0.5) ? [clause(random)] : clause(random) };
    case "or":
      return { or: random.times(random.int(1, 3), () => clause(random)) };
    default:
      return true;
  }
}

function comparison(random, path, value) {
  const variable = { var: path };
  switch (random.int(0, 8)) {
    case 0:
      return { "==": [value, variable] };
    case 1:
      return { "!=": [variable, value] };
    case 2:
      return { in: [value, variable] };
    case 3:
      return { in: [variable, random.times(random.int(0, 4), () => random.pick([...TEXTS, ...NUMBERS]))] };
    case 4:
      return { "==": [{ substr: [variable, 0, random.int(-2, 5)] }, String(value).slice(0, random.int(0, 4))] };
    case 5:
      return { "==": [{ substr: [variable, -random.int(1, 4)] }, String(value).slice(-random.int(1, 3))] };
    case 6:
      return { [random.pick(["<", "<=", ">", ">="])]: random.chance(0.5) ? [variable, random.pick(NUMBERS)] : [random.pick(NUMBERS), variable] };
    case 7:
      return { "!": [{ in: [value, variable] }] };
    default:
      return { and: [{ var: path }, { "!=": [variable, value] }] };
  }
}

function timeClause(random) {
  switch (random.int(0, 3)) {
    case 0: {
      const from = now(random);
      return { "<=": [from, { var: "current_timestamp" }, from + random.int(1, 300) * DAY] };
    }
    case 1:
      return { "<=": [random.pick(["0000", "0900", "1200"]), { var: "current_time" }, random.pick(["1159", "1800", "2359"])] };
    case 2:
      return { in: [{ var: "current_day" }, random.some([1, 2, 3, 4, 5, 6, 7])] };
    default:
      return { [random.pick(["<", ">="])]: [{ var: "current_day" }, random.int(1, 7)] };
  }
}

const UNARY = ["!", "!!", "+", "-", "cat", "max", "min", "*", "merge", "log"];
const BINARY = ["==", "===", "!=", "!==", "<", "<=", ">", ">=", "%", "in", "+", "-", "*", "/", "cat", "min", "max", "merge", "and", "or"];
const UNKNOWN = ["foo", "starts_with", "regex", "xor", "toString", "constructor", "==="+"="];

function leaf(random) {
  switch (random.int(0, 9)) {
    case 0:
      return random.pick(NUMBERS);
    case 1:
    case 2:
      return random.pick(TEXTS);
    case 3:
      return random.pick([true, false, null, [], {}, [1], ["a"], [[]], [null], { a: 1, b: 2 }, [1, 2, 3], ["1"], [true]]);
    case 4:
      return { var: random.pick([...TIME_VARS, ...USER_VARS]) };
    case 5:
      return { var: [random.pick(MBOX_VARS), random.pick([null, 1, "fallback", []])] };
    case 6:
      return { var: random.pick([...WHOLE_VARS, ...GEO_VARS]) };
    case 7:
      return { var: `${random.pick(["page", "referring"])}.${random.pick(PAGE_PARTS)}` };
    default:
      return { var: random.pick(MBOX_VARS) };
  }
}

/** Any JSON Logic. `unknown`: with an operator that does not exist. */
export function odd(random, depth, unknown = false) {
  if (unknown && (depth <= 1 || random.chance(0.4))) {
    return { [random.pick(UNKNOWN)]: random.pick([[1, 2], [], "x", { var: "mbox.user" }]) };
  }
  if (depth <= 0 || random.chance(0.12)) return leaf(random);
  const inner = () => odd(random, depth - 1, unknown);
  switch (random.int(0, 12)) {
    case 0:
      return { [random.pick(UNARY)]: random.chance(0.5) ? [inner()] : inner() };
    case 1:
      return { if: random.times(random.int(0, 5), inner) };
    case 2:
      return { "?:": [inner(), inner(), inner()] };
    case 3:
      return { [random.pick(["filter", "map", "all", "some", "none"])]: [random.chance(0.6) ? list(random) : inner(), elementLogic(random)] };
    case 4:
      return { reduce: [list(random), { [random.pick(["+", "*", "cat", "max"])]: [{ var: "current" }, { var: "accumulator" }] }, random.pick([0, 1, "", null])] };
    case 5:
      return { substr: [inner(), random.int(-4, 4), ...(random.chance(0.5) ? [random.int(-3, 4)] : [])] };
    case 6:
      return { missing: random.some(MBOX_VARS, 0.2) };
    case 7:
      return { missing_some: [random.int(0, 2), random.some(MBOX_VARS, 0.2)] };
    case 8:
      return { [random.pick(["and", "or"])]: random.times(random.int(0, 3), inner) };
    case 9:
      return { [random.pick(["<", "<="])]: [inner(), inner(), inner()] };
    default:
      return { [random.pick(BINARY)]: [inner(), inner()] };
  }
}

function list(random) {
  return random.chance(0.3) ? { var: "mbox.list" } : random.times(random.int(0, 4), () => random.pick([...NUMBERS, ...TEXTS, null, true]));
}

function elementLogic(random) {
  return random.pick([
    { ">": [{ var: "" }, 1] }, { "==": [{ var: "" }, "1"] }, { "%": [{ var: "" }, 2] }, { var: "" }, { "!": { var: "" } }, true, { cat: [{ var: "" }, "!"] },
    { var: "mbox.user" }, { "+": [{ var: "" }, 1] },
  ]);
}
