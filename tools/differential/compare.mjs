// Compares the answers: node compare.mjs CASES THEIRS OURS
//
// Every difference must be the work of a documented deviation that the case is about. Exits with 1 otherwise.

import { readFileSync } from "node:fs";

import { DEVIATIONS } from "./deviations.mjs";
import { comparable, differences, withoutAllocation, withoutIds } from "./difference.mjs";

const [casesFile, theirsFile, oursFile] = process.argv.slice(2);
const SHOWN = Number(process.env.DIFFERENTIAL_SHOWN ?? 10);

const lines = file => readFileSync(file, "utf8").split("\n").filter(Boolean).map(line => JSON.parse(line));
const byId = file => new Map(lines(file).map(answer => [answer.id, answer]));

const theirs = byId(theirsFile);
const ours = byId(oursFile);
const counts = new Map();
let artifact;
let cases = 0;
let identical = 0;
let documented = 0;
let unexplained = 0;

const clip = value => {
  const text = JSON.stringify(value) ?? "(absent)";
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
};

for (const line of lines(casesFile)) {
  if (line.artifact) {
    artifact = line.artifact;
    continue;
  }
  cases += 1;
  const given = JSON.stringify(line.options) + JSON.stringify(line.answer ?? "");
  const [their, our] = [theirs.get(line.id), ours.get(line.id)];
  const subject = { ...line, artifact: line.kind === "offers" ? artifact : undefined, theirs: their ?? {}, ours: our ?? {} };
  const rules = DEVIATIONS.filter(rule => rule.applies(subject));
  const named = new Set();
  let found = [{ path: "", theirs: their ? "an answer" : "none", ours: our?.panic ? "a panic" : our ? "an answer" : "none" }];
  if (their && our && !our.panic) {
    const [a, b] = [withoutIds(comparable(their, false), given), withoutIds(comparable(our, true), given)];
    if (line.tags?.includes("unknown-visitor")) [a, b].forEach(withoutAllocation);
    for (const rule of rules) {
      const before = JSON.stringify(a);
      rule.adjust?.(a, subject);
      if (JSON.stringify(a) !== before) named.add(rule.name);
    }
    found = differences(a, b);
  }
  found = found.filter(difference => {
    const rule = rules.find(candidate => candidate.explains?.(difference, subject));
    if (rule) named.add(rule.name);
    return !rule;
  });
  if (found.length === 0 && named.size === 0) {
    identical += 1;
    continue;
  }
  if (found.length === 0) {
    documented += 1;
    for (const name of named) counts.set(name, (counts.get(name) ?? 0) + 1);
    continue;
  }
  unexplained += 1;
  if (unexplained <= SHOWN) {
    console.log(`case ${line.id} (${line.kind}; ${(line.tags ?? []).join(", ") || "nothing special"}):`);
    for (const { path, theirs: a, ours: b } of found.slice(0, 5)) {
      console.log(`  ${path || "/"}\n    theirs ${clip(a)}\n    ours   ${clip(b)}`);
    }
  }
}

const names = [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => `${name} ${count}`);
console.log(`differential: ${cases} cases, ${identical} identical, ${documented} documented deviations (${names.join(", ")}), ${unexplained} unexplained`);
process.exitCode = unexplained || cases === 0 ? 1 : 0;
