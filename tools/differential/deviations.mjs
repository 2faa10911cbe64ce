// Where this library answers differently from the Node SDK on purpose; docs/differential.md has them as a table.
//
// A deviation is bound to what a case is about (`applies`) and says what it does to the answers:
// - `adjust(theirs, subject)` turns the reference's answer into what the documented behaviour makes of it, or
// - `explains({path, theirs, ours}, subject)` recognises differences of which the right outcome cannot be told so simply.

const request = subject => subject.options.request;
const tagged = name => subject => subject.tags?.includes(name) ?? false;
const list = value => (Array.isArray(value) ? value.filter(Boolean) : []);
const views = subject => list(request(subject).prefetch?.views);
const items = asked => ["prefetch", "execute"].flatMap(mode => [...list(asked[mode]?.mboxes), ...list(asked[mode]?.views), asked[mode]?.pageLoad])
  .filter(item => item && typeof item === "object");
/** The rules that are evaluated for an item of a request. */
function rulesFor({ artifact }, kind, item) {
  const { mboxes = {}, views: viewRules = {} } = artifact?.rules ?? {};
  if (kind === "views") return item.name ? viewRules[item.name] : viewRules;
  return mboxes[kind === "pageLoad" ? artifact?.globalMbox ?? "target-global-mbox" : item.name];
}

/**
 * Recognises what follows from which rules match for the items that `concerns` picks, if their rules have a variable like
 * `variable`: what is given for items of that kind, and what is told of all items. Traces
 * of a mode contain what came before.
 */
function decisionsOf(subject, concerns, variable) {
  const places = [];
  const modes = new Set();
  for (const mode of ["execute", "prefetch"]) {
    for (const kind of ["mboxes", "views", "pageLoad"]) {
      const asked = request(subject)[mode]?.[kind];
      const concerned = [asked].flat().filter(item => item && typeof item === "object" && concerns(item));
      if (concerned.some(item => variable.test(JSON.stringify(rulesFor(subject, kind, item)) ?? ""))) {
        places.push(`/envelope/response/${mode}/${kind}`, "/envelope/responseTokens", "/envelope/trace");
        modes.add(mode);
        if (mode === "execute") places.push("/notifications");
      }
    }
  }
  return path => places.some(place => path === place || path.startsWith(`${place}/`)) ||
    (path.includes("/trace/") && modes.has(path.split("/")[3]));
}
const WHOLE = '"var":\\[?""';
/** The two places where a request is seen. */
const requests = theirs => [theirs.request, theirs.envelope?.request].filter(Boolean);
const failed = (theirs, pattern) => pattern.test(theirs.error?.message ?? "");
const OFFLINE = "the client is offline and the call needs the server";
/** Whether ours decided the call, or, hybrid, found that the server has to. */
const oursWorked = ({ ours }) => ours.envelope !== undefined || ours.error?.message === OFFLINE;
const wholeAnswer = path => ["/error", "/remote", "/envelope", "/notifications", "/url", "/headers", "/request"].includes(path);

/** Text with macros that ours fills and theirs leaves alone. */
function filled(theirs, ours, macro) {
  if (typeof theirs !== "string" || typeof ours !== "string" || !macro.test(theirs)) return false;
  const literal = theirs.split(new RegExp(macro, "g")).map(part => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${literal.join("[^$]*")}$`, "s").test(ours);
}
const isContent = path => /\/options\/\d+\/content(\/\d+\/content)?$/.test(path);

/** Names that need the server: those that the artifact calls remote, in its order, then those it does not know. */
function remoteNames(remote = [], local = [], wanted) {
  return [...remote.filter(name => wanted.includes(name)), ...wanted.filter(name => !local.includes(name) && !remote.includes(name))];
}

function adjustRemote(theirs, { mboxes, views: viewNames }) {
  const { envelope } = theirs;
  if (!envelope) return;
  if (mboxes) envelope.meta.remoteMboxes = mboxes;
  if (viewNames) envelope.meta.remoteViews = viewNames;
  envelope.response.status = envelope.meta.remoteMboxes.length + envelope.meta.remoteViews.length > 0 ? 206 : 200;
}

const names = (asked, kind) => [...new Set(["prefetch", "execute"].flatMap(mode => list(asked[mode]?.[kind]).map(item => item.name)).filter(Boolean))];

export const DEVIATIONS = [
  {
    name: "time-offset-default",
    difference: "a context without timeOffsetInMinutes gets the default (the reference loses it when it converts types)",
    applies: subject => request(subject).context && (request(subject).context.timeOffsetInMinutes ?? null) === null,
    adjust(theirs) {
      for (const { context } of requests(theirs)) context.timeOffsetInMinutes ??= 0;
    },
  },
  {
    name: "list-holes",
    difference: "no holes in analyticsDetails and trace",
    applies: () => true,
    adjust(theirs) {
      for (const list of ["analyticsDetails", "trace"]) {
        if (theirs.envelope?.[list]?.includes(null)) theirs.envelope[list] = theirs.envelope[list].filter(item => item !== null);
      }
    },
  },
  {
    name: "mobile-channel",
    difference: "the channel mobile is kept",
    applies: subject => request(subject).context?.channel === "mobile",
    adjust(theirs) {
      for (const { context } of requests(theirs)) context.channel = "mobile";
    },
  },
  {
    name: "own-sdid",
    difference: "a well-formed supplemental data id of the caller is kept",
    applies: subject => tagged("own-sdid")(subject) && request(subject).experienceCloud?.analytics?.supplementalDataId !== undefined,
    adjust(theirs, subject) {
      for (const { experienceCloud } of requests(theirs)) {
        experienceCloud.analytics.supplementalDataId = request(subject).experienceCloud.analytics.supplementalDataId;
      }
      for (const state of Object.values(theirs.envelope?.visitorState ?? {})) delete state.sdid;
    },
  },
  {
    name: "empty-view-name",
    difference: "the name and key of a view are kept when they are not empty",
    applies: subject => views(subject).some(view => view.name === ""),
    adjust(theirs) {
      for (const { prefetch } of requests(theirs)) {
        for (const view of prefetch?.views ?? []) if (view.name === "") delete view.name;
      }
    },
  },
  {
    name: "edge-host-without-cluster",
    difference: "the cluster is what follows mboxedge; the reference takes the client's name for one",
    applies: subject => subject.answer?.edgeHost !== undefined && !subject.answer.edgeHost.startsWith("mboxedge"),
    adjust(theirs, subject) {
      const cookie = theirs.envelope?.targetLocationHintCookie;
      if (cookie?.value === subject.answer.edgeHost.split(".")[0]) delete theirs.envelope.targetLocationHintCookie;
    },
  },
  {
    name: "own-global-mbox",
    difference: "the page load depends on the artifact's global mbox",
    applies: subject => tagged("own-global-mbox")(subject) && (request(subject).execute?.pageLoad ?? request(subject).prefetch?.pageLoad) !== undefined,
    adjust(theirs, subject) {
      const { remoteMboxes, localMboxes, globalMbox } = subject.artifact;
      const wanted = [...new Set([...names(request(subject), "mboxes"), globalMbox])];
      adjustRemote(theirs, { mboxes: remoteNames(remoteMboxes, localMboxes, wanted) });
    },
    // a hybrid call is decided here, and not sent
    explains: ({ path }, subject) => subject.theirs.remote === true && subject.ours.envelope !== undefined && wholeAnswer(path),
  },
  {
    name: "unnamed-among-named-views",
    difference: "an unnamed view stands for all views, whatever else is asked for",
    applies: subject => views(subject).some(view => view.name) && views(subject).some(view => !view.name) && subject.artifact !== undefined,
    adjust(theirs, subject) {
      const { remoteViews = [], localViews = [] } = subject.artifact;
      const wanted = [...names(request(subject), "views"), ...remoteViews];
      adjustRemote(theirs, { views: [...new Set(remoteNames(remoteViews, localViews, wanted))] });
    },
    // a hybrid call is sent, and not decided here
    explains: ({ path }, subject) => subject.theirs.envelope !== undefined && subject.config.decisioningMethod === "hybrid" &&
      subject.ours.error?.message === OFFLINE && wholeAnswer(path),
  },
  {
    name: "unknown-members-kept",
    difference: "unknown members of the request are passed to the server",
    applies: tagged("unknown-member"),
    explains: ({ path, theirs }) => theirs === undefined && /^(\/envelope)?\/request\/.*?(somethingNew|unknownMember)$/.test(path),
  },
  {
    name: "expired-audience-manager",
    difference: "expired and NONE values of the visitor cookie are dropped",
    applies: tagged("expired-audience-manager"),
    explains: ({ path, theirs, ours }) => (ours === undefined || theirs === "NONE") && /^(\/envelope)?\/request\/experienceCloud\/audienceManager(\/blob|\/locationHint)?$/.test(path),
  },
  {
    name: "malformed-cookie",
    difference: "a malformed part of a cookie is ignored",
    applies: subject => tagged("malformed-cookie")(subject) && failed(subject.theirs, /^URI malformed$/) && subject.ours.envelope !== undefined,
    explains: ({ path }) => wholeAnswer(path),
  },
  {
    name: "wrong-type",
    difference: "a wrong type is an error that names the path",
    applies: subject => tagged("wrong-type")(subject) && subject.ours.error?.kind === "InvalidOptions" && subject.ours.error.path.startsWith("/request/"),
    explains: ({ path }) => wholeAnswer(path),
  },
  {
    name: "null-is-absent",
    difference: "null is as good as absent, also where the reference lets it keep a default out",
    applies: tagged("null"),
    explains: ({ path, theirs, ours }, subject) =>
      (/^(\/envelope)?(\/request|\/response)\/requestId$/.test(path) && theirs === undefined && ours === "<id>") ||
      (/^(\/envelope)?\/request\/environmentId$/.test(path) && theirs === undefined && ours === subject.config.environmentId) ||
      (failed(subject.theirs, /^Either .* is required in (execute|prefetch)$/) && oursWorked(subject) && wholeAnswer(path)) ||
      (/^Either .* is required in (execute|prefetch)$/.test(subject.ours.error?.message) && subject.theirs.envelope !== undefined && wholeAnswer(path)),
  },
  {
    name: "tntid-is-made",
    difference: "a visitor with nothing but a customer id gets a tntId",
    applies: tagged("customer-only"),
    explains: ({ path, ours }) =>
      (path === "/envelope/response/id/tntId" && /^<id>(\.\d+_0)?$/.test(ours)) ||
      (path === "/envelope/targetCookie/value" && /\|PC#<id>/.test(ours)) ||
      (path === "/envelope/targetCookie/maxAge" && (ours === 63244800 || ours === 63244801)) ||
      /\/trace(\/\d+)?\/profile\/visitorId\/(tntId|profileLocation)$/.test(path),
  },
  {
    name: "rule-error",
    difference: "a rule that cannot be evaluated does not match",
    applies: subject => subject.ours.envelope !== undefined &&
      ((tagged("unknown-operator")(subject) && failed(subject.theirs, /^Unrecognized operation /)) ||
       // a parameter called toString is what the reference takes for a method
       (items(request(subject)).some(item => item.parameters?.toString === "own") && failed(subject.theirs, /^Cannot convert object to primitive value$/))),
    explains: ({ path }) => wholeAnswer(path),
  },
  {
    name: "missing-rule-members",
    difference: "what a rule lacks counts as empty",
    applies: tagged("missing-rule-members"),
    explains: ({ path, theirs, ours }, subject) =>
      (failed(subject.theirs, /^Cannot read properties of undefined|is not iterable/) && oursWorked(subject) && wholeAnswer(path)) ||
      (/\/prefetch\/views\/\d+\/metrics$/.test(path) && theirs === undefined && JSON.stringify(ours) === "[]"),
  },
  {
    name: "version-checked-at-load",
    difference: "an artifact of an unsupported version is never used, whatever the call",
    applies: subject => tagged("unsupported-version")(subject) && /^The decisioning artifact version .* is not supported/.test(subject.ours.error?.message),
    explains: ({ path }) => wholeAnswer(path),
  },
  {
    name: "dotted-conflict",
    difference: "of two parameters for one place the first stays",
    applies: tagged("dotted-conflict"),
    explains: ({ path }, subject) =>
      (failed(subject.theirs, /^Cannot create property 'b' on string 'Leaf'$/) && wholeAnswer(path)) ||
      /\/context\/mbox\/a(_lc)?$/.test(path) ||
      decisionsOf(subject, item => item.parameters?.a === "Leaf", new RegExp(`"mbox"|"mbox\\.a|${WHOLE}`))(path),
  },
  {
    name: "item-referring-url",
    difference: "an item with its own address has its own referring URL",
    applies: tagged("item-address"),
    explains: ({ path }, subject) => /\/context\/referring\/\w+$/.test(path) ||
      decisionsOf(subject, item => item.address && item.address.url !== item.address.referringUrl, new RegExp(`"referring|${WHOLE}`))(path),
  },
  {
    name: "misread-url",
    difference: "www as a label, @ after the host, host:port, [v6]",
    applies: tagged("misread-url"),
    explains: ({ path }, subject) => /\/context\/(page|referring)\/\w+$/.test(path) || /\/request\/host$/.test(path) ||
      decisionsOf(subject, () => true, new RegExp(`"page|"referring|${WHOLE}`))(path),
  },
  {
    name: "upper-case-macro",
    difference: "campaign and recipe in any case of letters",
    applies: tagged("upper-case-macro"),
    explains: ({ path, theirs, ours }) => isContent(path) && filled(theirs, ours, /\$\{(?:x\.)?(?:CAMPAIGN|Recipe|Campaign)\.\w+\}|\$\{(?:mbox\.)?name\}/),
  },
  {
    name: "macro-location-name",
    difference: "an item without a name has the name of the location",
    applies: subject => views(subject).some(view => !view.name),
    explains: ({ path, theirs, ours }) => isContent(path) && path.includes("/views/") && filled(theirs, ours, /\$\{(?:mbox\.)?name\}/),
  },
  {
    name: "integer-view-names",
    difference: "views come in the order of the artifact, also those called by a number",
    applies: subject => tagged("integer-views")(subject) && views(subject).some(view => !view.name),
    explains: ({ path }) => /^\/envelope\/(response\/prefetch\/views|responseTokens|trace)(\/|$)/.test(path),
  },
  {
    name: "trace-aliasing",
    difference: "an item's trace holds what was known when it was decided (the reference's is changed by later items)",
    applies: subject => request(subject).trace !== undefined,
    explains: ({ path, theirs, ours }) =>
      /\/trace\/(\d+\/)?(evaluatedCampaignTargets\/\d+\/(un)?matchedRuleConditions|campaigns\/\d+\/notifications)$/.test(path) &&
      Array.isArray(theirs) && Array.isArray(ours) && ours.length < theirs.length && ours.every((item, at) => JSON.stringify(item) === JSON.stringify(theirs[at])),
  },
];
