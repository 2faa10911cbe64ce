//! What can be made to go wrong, and for which requests.

use std::time::Duration;

/// One way to misbehave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// TCP reset instead of an answer.
    Reset,
    /// Orderly close instead of an answer.
    Close,
    /// Never an answer; the connection stays open.
    Stall,
    /// One byte of the answer every 500 ms.
    Slow,
    /// Content-Length of the whole answer, half of the body, then close.
    Truncate,
    /// A body of 96 MiB: more than any limit of the client.
    Oversize,
    /// 200 `application/json` whose body is not JSON.
    NotJson,
    /// 200 with an HTML page.
    Html,
    /// 200 with an empty body.
    Empty,
    /// `Content-Encoding: gzip` with a damaged body.
    GzipCorrupt,
    /// This status with Target's error body.
    Status(u16),
    /// 503 with `Retry-After` in seconds.
    RetryAfter(u64),
    /// 307 to this URL.
    Redirect(String),
    /// Content-Length of half of the body, followed by the whole body.
    WrongLength,
    /// Half of the answer, then FIN while the edge keeps reading.
    HalfClose,
    /// The head of the answer, then close.
    DropAfterHead,
    /// Every second request is answered 503.
    Flap,
    /// A correct keep-alive answer, then the connection is closed without notice.
    DisconnectKeepalive,
}

/// Name, argument and meaning of every fault, for `--help`.
pub const FAULTS: &[(&str, &str)] = &[
    ("reset", "TCP reset (RST) instead of an answer"),
    ("close", "orderly close instead of an answer"),
    ("stall", "no answer, connection stays open"),
    ("slow", "one byte of the answer every 500 ms"),
    ("truncate", "Content-Length of the whole body, half of it sent, then close"),
    ("oversize", "96 MiB body"),
    ("not-json", "200 application/json that is not JSON"),
    ("html", "200 with an HTML page"),
    ("empty", "200 with an empty body"),
    ("gzip-corrupt", "Content-Encoding: gzip with damaged data"),
    ("status:CODE", "this status with Target's error body"),
    ("retry-after:S", "503 with Retry-After: S"),
    ("redirect:URL", "307 to URL (takes the rest of the text; no :N)"),
    ("wrong-length", "Content-Length smaller than the body that follows"),
    ("half-close", "half of the answer, then FIN while still reading"),
    ("drop-after-head", "the response head, then close"),
    ("flap", "every second request is answered 503"),
    ("disconnect-keepalive", "correct answer, then close the idle connection unannounced"),
];

impl Fault {
    /// Reads `NAME` or `NAME:ARGUMENT`; gives back what follows, which is a count on the command line.
    fn parse(text: &str) -> Result<(Fault, Option<&str>), String> {
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        let fault = match name {
            "reset" => Fault::Reset,
            "close" => Fault::Close,
            "stall" => Fault::Stall,
            "slow" => Fault::Slow,
            "truncate" => Fault::Truncate,
            "oversize" => Fault::Oversize,
            "not-json" => Fault::NotJson,
            "html" => Fault::Html,
            "empty" => Fault::Empty,
            "gzip-corrupt" => Fault::GzipCorrupt,
            "wrong-length" => Fault::WrongLength,
            "half-close" => Fault::HalfClose,
            "drop-after-head" => Fault::DropAfterHead,
            "flap" => Fault::Flap,
            "disconnect-keepalive" => Fault::DisconnectKeepalive,
            "redirect" => {
                let url = rest.filter(|url| !url.is_empty()).ok_or("fault redirect needs a URL: redirect:URL")?;
                if !url.bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err("the URL of fault redirect may hold printable ASCII only".to_owned());
                }
                return Ok((Fault::Redirect(url.to_owned()), None));
            }
            "status" | "retry-after" => {
                let rest = rest.ok_or_else(|| format!("fault {name} needs a number: {name}:NUMBER"))?;
                let (argument, rest) = match rest.split_once(':') {
                    Some((argument, rest)) => (argument, Some(rest)),
                    None => (rest, None),
                };
                let fault = if name == "status" {
                    Fault::Status(parse_status(argument)?)
                } else {
                    let seconds = argument.parse().map_err(|_| format!("`{argument}` is no number of seconds"))?;
                    Fault::RetryAfter(seconds)
                };
                return Ok((fault, rest));
            }
            _ => return Err(format!("unknown fault `{name}`; known: {}", names())),
        };
        Ok((fault, rest))
    }

    /// The text that makes this fault.
    pub fn name(&self) -> String {
        match self {
            Fault::Reset => "reset".to_owned(),
            Fault::Close => "close".to_owned(),
            Fault::Stall => "stall".to_owned(),
            Fault::Slow => "slow".to_owned(),
            Fault::Truncate => "truncate".to_owned(),
            Fault::Oversize => "oversize".to_owned(),
            Fault::NotJson => "not-json".to_owned(),
            Fault::Html => "html".to_owned(),
            Fault::Empty => "empty".to_owned(),
            Fault::GzipCorrupt => "gzip-corrupt".to_owned(),
            Fault::Status(code) => format!("status:{code}"),
            Fault::RetryAfter(seconds) => format!("retry-after:{seconds}"),
            Fault::Redirect(url) => format!("redirect:{url}"),
            Fault::WrongLength => "wrong-length".to_owned(),
            Fault::HalfClose => "half-close".to_owned(),
            Fault::DropAfterHead => "drop-after-head".to_owned(),
            Fault::Flap => "flap".to_owned(),
            Fault::DisconnectKeepalive => "disconnect-keepalive".to_owned(),
        }
    }
}

/// A status an HTTP/1 answer may carry on its own: 200 to 599.
pub fn parse_status(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(code @ 200..=599) => Ok(code),
        _ => Err(format!("`{text}` is no status between 200 and 599")),
    }
}

fn names() -> String {
    FAULTS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Which requests a fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// `POST /rest/v1/delivery`.
    Delivery,
    /// The rules artifact, in either form.
    Artifact,
    /// `GET /v1/geo`.
    Geo,
    /// Each of them (never `/debug`).
    All,
}

impl Target {
    /// Reads `delivery`, `artifact`, `geo` or `all`.
    pub fn parse(text: &str) -> Result<Target, String> {
        match text {
            "delivery" => Ok(Target::Delivery),
            "artifact" => Ok(Target::Artifact),
            "geo" => Ok(Target::Geo),
            "all" => Ok(Target::All),
            _ => Err(format!("unknown fault target `{text}`; known: delivery, artifact, geo, all")),
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Target::Delivery => "delivery",
            Target::Artifact => "artifact",
            Target::Geo => "geo",
            Target::All => "all",
        }
    }
}

/// A fault for the next `times` requests to `target`, or for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRule {
    /// The requests it is for.
    pub target: Target,
    /// What happens; none = the request is only delayed.
    pub fault: Option<Fault>,
    /// Requests left; none = all.
    pub times: Option<u64>,
    /// Waited before anything else happens.
    pub delay: Duration,
    /// Requests it was applied to so far.
    pub seen: u64,
}

impl FaultRule {
    /// Reads `[TARGET=]NAME[:ARGUMENT][:N]` of the command line.
    pub fn parse(text: &str) -> Result<FaultRule, String> {
        // A `=` may also be part of the URL of a redirect.
        let (target, rest) = match text.split_once('=') {
            Some((target, rest)) if !target.contains(':') => (Target::parse(target)?, rest),
            _ => (Target::Delivery, text),
        };
        let (fault, count) = Fault::parse(rest)?;
        let times = match count {
            None => None,
            Some(count) => Some(
                count
                    .parse()
                    .ok()
                    .filter(|count| *count > 0)
                    .ok_or_else(|| format!("`{count}` is no number of requests"))?,
            ),
        };
        Ok(FaultRule { target, fault: Some(fault), times, delay: Duration::ZERO, seen: 0 })
    }

    /// Reads the `name` of a run-time request: `NAME[:ARGUMENT]`, without a count.
    pub fn parse_name(text: &str) -> Result<Fault, String> {
        match Fault::parse(text)? {
            (fault, None) => Ok(fault),
            (_, Some(_)) => Err(format!("`{text}`: give the number of requests as `times`")),
        }
    }
}

/// What one request has to go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What happens; none = a correct answer.
    pub fault: Option<Fault>,
    /// Waited first.
    pub delay: Duration,
}

/// The faults in force, oldest first: a request meets the first one that is for it and not used up.
#[derive(Debug, Default)]
pub struct FaultPlan {
    rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// A plan of these rules.
    pub fn new(rules: Vec<FaultRule>) -> FaultPlan {
        FaultPlan { rules }
    }

    /// Adds a rule behind the others.
    pub fn push(&mut self, rule: FaultRule) {
        self.rules.push(rule);
    }

    /// Ends every fault.
    pub fn clear(&mut self) {
        self.rules.clear();
    }

    /// The rules not used up.
    pub fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// What the next request to `target` has to go through.
    pub fn next(&mut self, target: Target) -> Option<Planned> {
        let position = self.rules.iter().position(|rule| rule.target == target || rule.target == Target::All)?;
        let rule = self.rules.get_mut(position)?;
        rule.seen += 1;
        let fault = match &rule.fault {
            Some(Fault::Flap) => (rule.seen % 2 == 0).then_some(Fault::Status(503)),
            other => other.clone(),
        };
        let planned = Planned { fault, delay: rule.delay };
        if let Some(times) = &mut rule.times {
            *times -= 1;
            if *times == 0 {
                self.rules.remove(position);
            }
        }
        Some(planned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_forms() {
        let rule = FaultRule::parse("status:503:2").unwrap();
        assert_eq!((rule.target, rule.fault, rule.times), (Target::Delivery, Some(Fault::Status(503)), Some(2)));
        let rule = FaultRule::parse("artifact=reset").unwrap();
        assert_eq!((rule.target, rule.fault, rule.times), (Target::Artifact, Some(Fault::Reset), None));
        let rule = FaultRule::parse("redirect:http://127.0.0.1:1/x?a=b").unwrap();
        assert_eq!(rule.target, Target::Delivery);
        assert_eq!(rule.fault, Some(Fault::Redirect("http://127.0.0.1:1/x?a=b".to_owned())));
        assert_eq!(FaultRule::parse("retry-after:7:1").unwrap().fault, Some(Fault::RetryAfter(7)));
        for wrong in ["", "rest", "status", "status:99", "status:abc", "reset:0", "reset:x", "moon=reset", "redirect:"]
        {
            assert!(FaultRule::parse(wrong).is_err(), "{wrong}");
        }
        assert!(FaultRule::parse_name("reset:2").unwrap_err().contains("times"));
    }

    #[test]
    fn every_fault_of_the_help_is_understood_and_named() {
        for (name, _) in FAULTS {
            let text = name.replace("CODE", "418").replace(":S", ":3").replace("URL", "http://x/");
            assert_eq!(FaultRule::parse_name(&text).unwrap().name(), text);
        }
    }

    #[test]
    fn rules_are_used_in_order_and_run_out() {
        let mut plan = FaultPlan::new(vec![
            FaultRule::parse("status:500:2").unwrap(),
            FaultRule::parse("geo=close:1").unwrap(),
            FaultRule::parse("reset:1").unwrap(),
        ]);
        let mut next = |target| plan.next(target).and_then(|planned| planned.fault);
        assert_eq!(next(Target::Artifact), None);
        assert_eq!(next(Target::Delivery), Some(Fault::Status(500)));
        assert_eq!(next(Target::Delivery), Some(Fault::Status(500)));
        assert_eq!(next(Target::Delivery), Some(Fault::Reset));
        assert_eq!(next(Target::Delivery), None);
        assert_eq!(next(Target::Geo), Some(Fault::Close));
        assert!(plan.rules().is_empty());
    }

    #[test]
    fn flap_spoils_every_second_request() {
        let mut plan = FaultPlan::new(vec![FaultRule::parse("all=flap").unwrap()]);
        let seen: Vec<bool> =
            (0..4).map(|_| plan.next(Target::Geo).is_some_and(|planned| planned.fault.is_some())).collect();
        assert_eq!(seen, [false, true, false, true]);
    }
}
