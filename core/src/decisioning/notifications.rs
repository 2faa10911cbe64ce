//! Display notifications of executed content.

use std::collections::HashSet;

use crate::env::Random;
use crate::json;

use super::rule::Rule;

/// The notifications of one decision.
pub(crate) struct Notifications<'a> {
    now_ms: i64,
    random: &'a dyn Random,
    /// Event tokens that have been reported, each for a location.
    reported: HashSet<(&'a str, &'a str)>,
    pub(crate) list: Vec<String>,
}

impl<'a> Notifications<'a> {
    pub(crate) fn new(now_ms: i64, random: &'a dyn Random) -> Notifications<'a> {
        Notifications { now_ms, random, reported: HashSet::new(), list: Vec::new() }
    }

    /// Notes that the content of `rule` is displayed at the mbox `name`. Returns the notification, unless all event
    /// tokens have been reported before or there are none.
    pub(crate) fn display(&mut self, rule: &'a Rule, name: &'a str) -> Option<&str> {
        let mut tokens = String::new();
        for option in &rule.options {
            if let Some(token) = rule.event_token(option)
                && self.reported.insert((name, token))
            {
                if !tokens.is_empty() {
                    tokens.push(',');
                }
                tokens.push_str(token);
            }
        }
        if tokens.is_empty() {
            return None;
        }
        let mut out = String::with_capacity(192 + name.len() + tokens.len());
        let mut random = [0; 32]; // two ids from one call: randomness is what a notification costs
        self.random.fill(&mut random);
        let (first, second) = random.split_at(16);
        out.push_str("{\"id\":\"");
        push_uuid(&mut out, first);
        out.push_str("\",\"impressionId\":\"");
        push_uuid(&mut out, second);
        out.push_str("\",\"timestamp\":");
        json::write_int(&mut out, self.now_ms);
        out.push_str(",\"type\":\"display\",\"mbox\":{\"name\":");
        json::write_str(&mut out, name);
        out.push_str("},\"tokens\":[");
        out.push_str(&tokens);
        out.push_str("]}");
        self.list.push(out);
        self.list.last().map(String::as_str)
    }
}

/// A version 4 UUID in the form of [`Random::id`].
fn push_uuid(out: &mut String, bytes: &[u8]) {
    let mut random = [0; 16];
    random.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
    let mut text = [0; uuid::fmt::Simple::LENGTH];
    out.push_str(uuid::Builder::from_random_bytes(random).into_uuid().simple().encode_lower(&mut text));
}
