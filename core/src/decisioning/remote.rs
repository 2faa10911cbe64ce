//! Which locations of a request need the edge.

use std::collections::{HashMap, HashSet};

use super::Ruleset;
use crate::json::{Json, Object};

/// Locations of a request that cannot be decided on the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteDependency {
    /// Names of mboxes.
    pub mboxes: Vec<String>,
    /// Names of views.
    pub views: Vec<String>,
}

impl RemoteDependency {
    /// Whether everything can be decided here.
    pub fn is_empty(&self) -> bool {
        self.mboxes.is_empty() && self.views.is_empty()
    }
}

/// Which mboxes, or which views, have activities where.
pub(crate) struct Locations {
    remote: Vec<String>,
    /// The place of each name in `remote`.
    places: HashMap<String, usize>,
    local: HashSet<String>,
}

impl Locations {
    pub(crate) fn new(remote: Vec<String>, local: Vec<String>) -> Locations {
        let mut places = HashMap::with_capacity(remote.len());
        for (place, name) in remote.iter().enumerate() {
            places.entry(name.clone()).or_insert(place);
        }
        Locations { remote, places, local: local.into_iter().collect() }
    }

    /// Of the requested names: those with remote activities in the artifact's order, then those that the artifact
    /// does not know as local in the order of the request.
    fn needed(&self, requested: &[&str]) -> Vec<String> {
        let mut remote: Vec<usize> = requested.iter().filter_map(|name| self.places.get(*name).copied()).collect();
        remote.sort_unstable();
        let unknown = requested.iter().filter(|name| !self.places.contains_key(**name) && !self.local.contains(**name));
        remote
            .into_iter()
            .filter_map(|place| self.remote.get(place))
            .cloned()
            .chain(unknown.map(|name| (*name).to_owned()))
            .collect()
    }
}

const MODES: [&str; 2] = ["prefetch", "execute"];

/// The items of `kind` in both modes; `None` if neither has a list of them.
fn items<'r>(request: &'r Object<'_>, kind: &'static str) -> Option<impl Iterator<Item = &'r Json<'r>>> {
    let lists = MODES.map(|mode| request.get(mode).and_then(|mode| mode.get(kind)).and_then(Json::as_array));
    lists.iter().any(Option::is_some).then(|| lists.into_iter().flatten().flatten())
}

/// Names in the order in which they first show.
#[derive(Default)]
struct Names<'r> {
    list: Vec<&'r str>,
    known: HashSet<&'r str>,
}

impl<'r> Names<'r> {
    /// Below this many, looking through the list is quicker than hashing.
    const FEW: usize = 16;

    fn add(&mut self, name: &'r str) {
        if self.list.len() < Self::FEW {
            if !self.list.contains(&name) {
                self.list.push(name);
            }
            return;
        }
        if self.known.is_empty() {
            self.known.extend(&self.list);
        }
        if self.known.insert(name) {
            self.list.push(name);
        }
    }
}

impl Ruleset {
    /// What of a delivery request needs the edge.
    pub fn remote_dependency(&self, request: &Object<'_>) -> RemoteDependency {
        let mut mboxes = Names::default();
        for mbox in items(request, "mboxes").into_iter().flatten() {
            mbox.get("name").and_then(Json::as_str).into_iter().for_each(|name| mboxes.add(name));
        }
        let loads_page = |mode: &&str| {
            request.get(mode).and_then(|mode| mode.get("pageLoad")).is_some_and(|load| load.as_object().is_some())
        };
        if MODES.iter().any(loads_page) {
            mboxes.add(&self.global_mbox);
        }
        RemoteDependency { mboxes: self.mbox_locations.needed(&mboxes.list), views: self.remote_views(request) }
    }

    fn remote_views(&self, request: &Object<'_>) -> Vec<String> {
        let Some(views) = items(request, "views") else { return Vec::new() };
        let mut names = Names::default();
        let mut all = false;
        for view in views {
            match view.get("name").and_then(Json::as_str).filter(|name| !name.is_empty()) {
                Some(name) => names.add(name),
                None => all = true,
            }
        }
        // An unnamed view stands for all of them, whatever else is asked for.
        if all || names.list.is_empty() {
            self.view_locations.remote.iter().for_each(|name| names.add(name));
        }
        self.view_locations.needed(&names.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Limits};

    #[test]
    fn what_needs_the_edge() {
        let rules = Ruleset::compile(
            r#"{"version":"1.0.0","globalMbox":"home-global","remoteMboxes":["r1","both","home-global"],
                "localMboxes":["l1","both"],"remoteViews":["rv1","rv2"],"localViews":["lv","rv2"]}"#,
        )
        .unwrap();
        for (request, mboxes, views) in [
            (r#"{"execute":{"mboxes":[{"name":"l1"}]}}"#, vec![], vec![]),
            (
                r#"{"execute":{"mboxes":[{"name":"x"},{"name":"both"}]},"prefetch":{"mboxes":[{"name":"r1"},{"name":"x"}]}}"#,
                vec!["r1", "both", "x"],
                vec![],
            ),
            (r#"{"execute":{"pageLoad":{}}}"#, vec!["home-global"], vec![]),
            (r#"{"execute":{"pageLoad":null}}"#, vec![], vec![]),
            (r#"{"execute":{"mboxes":[{"name":"target-global-mbox"}]}}"#, vec!["target-global-mbox"], vec![]),
            (r#"{"prefetch":{"views":[{}]}}"#, vec![], vec!["rv1", "rv2"]),
            (r#"{"prefetch":{"views":[{"name":"lv"}]}}"#, vec![], vec![]),
            (r#"{"prefetch":{"views":[{"name":"new"},{"name":"rv2"}]}}"#, vec![], vec!["rv2", "new"]),
            (r#"{"prefetch":{"views":[{"name":"lv"},{}]}}"#, vec![], vec!["rv1", "rv2"]),
            (r#"{"prefetch":{"views":[{"name":"new"},{}]}}"#, vec![], vec!["rv1", "rv2", "new"]),
            ("{}", vec![], vec![]),
        ] {
            let parsed = json::parse(request, &Limits::OPTIONS).unwrap();
            let found = rules.remote_dependency(parsed.as_object().unwrap());
            assert_eq!(found.mboxes, mboxes, "{request}");
            assert_eq!(found.views, views, "{request}");
            assert_eq!(found.is_empty(), mboxes.is_empty() && views.is_empty());
        }
    }
}
