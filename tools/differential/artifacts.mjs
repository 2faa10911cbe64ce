// Artifacts: rules for a few mboxes and views.

import { audience, odd } from "./logic.mjs";

export const MBOXES = ["home", "mb.one", "feature flag", "ünï-mbox", "7", "local-only", "remote-too"];
export const VIEWS = ["home", "cart/items", "äbout"];
export const DEFAULT_GLOBAL = "target-global-mbox";

const TOKENS = [
  "activity.id", "activity.name", "activity.type", "experience.id", "experience.name", "location.id", "location.name",
  "location.type", "offer.id", "offer.name", "option.id", "option.name", "activity.decisioningMethod", "geo.city", "geo.country",
  "geo.state", "geo.latitude", "geo.longitude", "profile.age",
];

const MACROS = [
  "${activity.id}", "${campaign.id}", "${campaign.recipe.name}", "${recipe.name}", "${experience.id}", "${mbox.name}", "${mbox.user}",
  "${user}", "${a.b}", "${x.a.b}", "${offer.id}", "${offer.name}", "${index}", "${nope}", "${}", "${x-y}", "${ user }", "${n}", "${flag}",
  "${none}", "${location.name}", "${name}", "${empty}", "${option.id}", "${uni}", "$${user}}", "${mbox.a.b}", "${activity.type}",
];

/** An artifact. The tags say what in it is known to be treated differently. */
export function artifact(random, { allocation = true } = {}) {
  const tags = [];
  const globalMbox = random.chance(0.06) ? "home-global" : DEFAULT_GLOBAL;
  if (globalMbox !== DEFAULT_GLOBAL) tags.push("own-global-mbox");
  const style = { allocation, hazards: random.chance(0.03), unknown: allocation && random.chance(0.03), oddLogic: allocation && random.chance(0.35), upper: random.chance(0.02) };
  const rules = { mboxes: {}, views: {} };
  const mboxNames = random.some(MBOXES, 0.7);
  if (random.chance(0.85)) mboxNames.push(globalMbox);
  let key = 0;
  for (const name of mboxNames) {
    rules.mboxes[name] = random.times(random.int(1, name === globalMbox ? 5 : 3), () => rule(random, name, "mbox", (key += 1), style, tags));
  }
  const viewNames = random.some(VIEWS, 0.6);
  if (random.chance(0.1)) {
    viewNames.push("10", "2");
    tags.push("integer-views");
  }
  for (const name of viewNames) {
    rules.views[name] = random.times(random.int(1, 3), () => rule(random, name, "view", (key += 1), style, tags));
  }
  const made = {
    version: random.pick(["1.0.0", "1.0.0", "1.0.0", "1.2", "1"]),
    globalMbox,
    geoTargetingEnabled: random.chance(0.5),
    responseTokens: random.chance(0.1) ? [] : random.some(TOKENS, random.pick([0.3, 0.9])),
    remoteMboxes: random.some([...MBOXES, globalMbox], 0.15),
    remoteViews: random.some(VIEWS, 0.2),
    localMboxes: [...mboxNames],
    localViews: [...viewNames],
    meta: { clientCode: "acme", environment: random.pick(["production", "staging"]), generatedAt: "2026-01-02T03:04:05.678Z" },
    rules,
  };
  if (random.chance(0.05)) delete made.globalMbox;
  if (made.globalMbox === undefined && globalMbox !== DEFAULT_GLOBAL) made.globalMbox = globalMbox;
  for (const name of ["responseTokens", "remoteMboxes", "remoteViews", "localViews", "geoTargetingEnabled"]) {
    if (random.chance(0.03)) delete made[name];
  }
  if (random.chance(0.02)) {
    made.version = random.pick(["2.0.0", "0.9", "x", "10.0.0"]);
    tags.push("unsupported-version");
  }
  return { artifact: made, tags: [...new Set(tags)] };
}

function rule(random, location, kind, number, style, tags) {
  const activity = random.pick([number, number, 100 + random.int(1, 4), String(number)]);
  const made = {
    ruleKey: random.chance(0.15) ? "shared-key" : `${activity}-${number}`,
    activityId: activity,
    condition: condition(random, style, tags),
    consequence: { name: location, options: options(random, style, tags), metrics: metrics(random) },
    meta: {
      "activity.id": activity,
      "activity.name": random.pick(["Summer", "Ünï \"quoted\"", ""]),
      "activity.type": random.pick(["ab", "landing"]),
      "experience.id": random.int(0, 3),
      "experience.name": random.pick(["Experience A", "B"]),
      "location.id": random.int(0, 9),
      "location.name": location,
      "location.type": kind,
      "audience.ids": random.times(random.int(0, 3), () => random.int(1, 5)),
      "offer.id": random.int(0, 99),
      "offer.name": random.pick(["/offers/one", null]),
      "option.id": random.int(0, 9),
      "option.name": "Offer2",
    },
  };
  for (const name of ["activity.name", "experience.name", "offer.id", "offer.name", "option.id", "option.name", "location.id"]) {
    if (random.chance(0.12)) delete made.meta[name];
  }
  if (random.chance(0.6)) made.propertyTokens = random.pick([[], [], ["prop-1"], ["prop-2", "prop-1"], ["prop-3"]]);
  if (style.hazards && random.chance(0.5)) {
    tags.push("missing-rule-members");
    const where = random.int(0, 2);
    if (where === 0) delete made.consequence.metrics;
    if (where === 1) delete made.consequence.options;
    if (where === 2) delete made.meta["audience.ids"];
  }
  return made;
}

function condition(random, style, tags) {
  if (style.unknown && random.chance(0.4)) {
    tags.push("unknown-operator");
    return odd(random, random.int(1, 3), true);
  }
  if (random.chance(0.15)) return true;
  return style.oddLogic && random.chance(0.7) ? odd(random, random.int(1, 4)) : audience(random, style);
}

function text(random, style, tags) {
  let out = random.pick(["<p>", "plain ", "é ", ""]);
  for (let at = random.int(0, 4); at > 0; at -= 1) out += random.pick(MACROS) + random.pick(["", " ", "-", "<br>\n"]);
  if (style.upper && random.chance(0.5)) {
    tags.push("upper-case-macro");
    out += random.pick(["${CAMPAIGN.id}", "${Recipe.name}", "${x.Campaign.name}"]);
  }
  return out;
}

function action(random, style, tags) {
  const made = {
    type: random.pick(["setHtml", "insertBefore", "setAttribute", "customCode"]),
    selector: "BODY > DIV:nth-of-type(1)",
    cssSelector: "body > div",
    content: random.chance(0.85) ? text(random, style, tags) : random.pick([{ src: "${user}" }, 7, null, ["${user}"]]),
    extra: { kept: true },
  };
  if (random.chance(0.1)) delete made.content;
  return made;
}

/** Leaves the content of an option out, which for one with actions is more than the reference bears. */
function withoutContent(option, tags) {
  delete option.content;
  if (option.type === "actions") tags.push("missing-rule-members");
}

function options(random, style, tags) {
  const tokens = ["tok1", "tok/2==", "tok3"];
  return random.times(random.pick([0, 1, 1, 1, 1, 2, 3]), () => {
    const made = { type: random.pick(["html", "html", "json", "actions", "redirect", "dynamic"]) };
    if (random.chance(0.8)) made.eventToken = random.pick(tokens) + random.int(0, 30);
    switch (made.type) {
      case "html":
        made.content = random.chance(0.95) ? text(random, style, tags) : random.pick([null, 7, { a: 1 }]);
        break;
      case "json":
        made.content = random.pick([{ a: 1, b: ["${user}", 1.5, null] }, [], "${user}", 1, { big: 12345678901, f: 1e-7 }]);
        break;
      case "actions":
        made.content = random.times(random.int(0, 3), () => action(random, style, tags));
        break;
      case "redirect":
        made.content = "https://example.com/?u=${user}";
        break;
      default:
        made.content = { template: "${user}" };
    }
    if (random.chance(0.08)) {
      // a blank option: the default content of the page
      delete made.type;
      delete made.content;
    } else if (random.chance(0.03)) {
      if (random.chance(0.5)) delete made.type;
      else withoutContent(made, tags);
    }
    if (random.chance(0.1)) made.id = random.int(0, 9);
    return made;
  });
}

function metrics(random) {
  return random.times(random.pick([0, 0, 1, 2]), () => {
    const made = { type: random.pick(["click", "display"]), eventToken: `metric-${random.int(0, 5)}` };
    if (random.chance(0.6)) made.selector = "#buy";
    return made;
  });
}
