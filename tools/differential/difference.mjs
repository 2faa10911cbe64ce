// Two answers brought to one form, and where they differ.

const ID = /[0-9a-f]{32}/g;
const SDID = /[0-9A-F]{16}-[0-9A-F]{16}/g;

/** Ids that were not in the case were made: one looks like the other. */
export function withoutIds(value, given) {
  if (typeof value === "string") {
    return value.replace(ID, id => (given.includes(id) ? id : "<id>")).replace(SDID, id => (given.includes(id) ? id : "<sdid>"));
  }
  if (Array.isArray(value)) return value.map(item => withoutIds(item, given));
  if (value && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [withoutIds(key, given), withoutIds(item, given)]));
  }
  return value;
}

/** A visitor whose id is made anew in each answer is allocated anew, too. Rules of such cases do not ask for it. */
export function withoutAllocation(value) {
  if (!value || typeof value !== "object") return;
  for (const target of value.evaluatedCampaignTargets ?? []) delete target.context?.allocation;
  Object.values(value).forEach(withoutAllocation);
}

/** What of an answer is compared. */
export function comparable(answer, ours) {
  // A hybrid call for the server: theirs is answered there, ours has none to go to.
  if (answer.remote || answer.error?.message === "the client is offline and the call needs the server") return { remote: true };
  if (!answer.envelope) return { error: answer.error?.message ?? "panic" };
  const { envelope } = answer;
  const { status, ...rest } = envelope;
  if (ours) {
    // Ours besides: how the call was asked to be decided; the status once more, for hosts that look no deeper.
    delete rest.meta.requestedDecisioningMethod;
    if (status !== (rest.response.status ?? 200)) rest.status = status;
  }
  const out = { envelope: rest };
  if (answer.notifications) out.notifications = answer.notifications.map(({ id, impressionId, ...sent }) => sent);
  if (answer.url) {
    out.url = answer.url;
    out.headers = headers(answer.headers);
    out.request = answer.request;
  }
  return out;
}

/** By lower-case name, but for the names of the SDK and the id of the HTTP request, which each call has of its own. */
function headers(given) {
  const own = ["x-exc-sdk", "x-exc-sdk-version", "x-request-id", "accept"];
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]).filter(([name]) => !own.includes(name)));
}

/** Differences as `{path, theirs, ours}`. */
export function differences(theirs, ours, path = "", found = []) {
  if (Object.is(theirs, ours) || (theirs === 0 && ours === 0)) return found;
  const bothArrays = Array.isArray(theirs) && Array.isArray(ours);
  const objects = [theirs, ours].every(value => value && typeof value === "object" && !Array.isArray(value));
  if (bothArrays && theirs.length === ours.length) {
    theirs.forEach((item, at) => differences(item, ours[at], `${path}/${at}`, found));
  } else if (objects) {
    for (const key of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
      differences(theirs[key], ours[key], `${path}/${key}`, found);
    }
  } else {
    found.push({ path, theirs, ours });
  }
  return found;
}
