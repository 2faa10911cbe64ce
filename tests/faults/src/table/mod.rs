//! The table: what servers and networks do, and what the library makes of it.

mod artifact;
mod connection;
mod content;
mod framing;
mod headers;
mod http2;
mod names;
mod proxy;
mod redirects;
mod statuses;
mod tls;

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use serde_json::Value;

use crate::h2;
use crate::payload::Subject;
use crate::server::{Exchange, Shared, Then};
use crate::tls::Kind;

pub const OK: &str = "TARGET_OK";
pub const TIMEOUT: &str = "TARGET_E_TIMEOUT";
pub const NETWORK: &str = "TARGET_E_NETWORK";
pub const TLS: &str = "TARGET_E_TLS";
pub const HTTP: &str = "TARGET_E_HTTP";
pub const DECODE: &str = "TARGET_E_DECODE";
pub const ARTIFACT: &str = "TARGET_E_ARTIFACT";
pub const NOT_READY: &str = "TARGET_E_NOT_READY";

/// What the client talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    Plain,
    Ipv6,
    /// Nobody listens while it is broken.
    Nobody,
    /// Somebody listens and nobody accepts while it is broken: packets are dropped.
    Full,
    Tls(Kind),
    H2,
    /// A proxy for http, or for https.
    Proxy {
        https: bool,
    },
    /// A proxy for https that nobody listens for while it is broken.
    DeadProxy,
    /// A proxy that is itself reached over TLS.
    TlsProxy,
}

type OnExchange = Box<dyn Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync>;
type OnAccept = Box<dyn Fn(&Shared, TcpStream) -> io::Result<()> + Send + Sync>;
type OnPreface = Box<dyn Fn(&Shared, &mut h2::Connection) -> io::Result<()> + Send + Sync>;
type OnStream = Box<dyn Fn(&Shared, &mut h2::Connection, u32, u32) -> io::Result<Then> + Send + Sync>;

/// What the server does when it is broken.
pub enum Fault {
    /// Nothing: the network does, or the handshake.
    None,
    /// A new connection, before anything is read.
    OnAccept(OnAccept),
    /// Before a request is read; the script reads it.
    OnHead(OnExchange),
    /// A request that was read.
    OnRequest(OnExchange),
    /// The same, on a connection that has carried a request before.
    OnReuse(OnExchange),
    /// Kept connections are closed, new ones are served.
    IdleClosed,
    /// A new HTTP/2 connection, after the client's preface; the script sends the server's.
    OnPreface(OnPreface),
    /// A request on an HTTP/2 stream: its number, and the how-manieth it is.
    OnStream(OnStream),
}

/// What the host gets to see.
#[derive(Clone, Debug)]
pub struct Expect {
    pub status: &'static str,
    /// Or this: which of the two is a matter of moments.
    pub or: Option<&'static str>,
    /// Requests that the library says it made, least and most.
    pub attempts: (u32, u32),
    pub phase: Option<&'static str>,
    pub http: Option<u16>,
    /// When time runs out; otherwise long before that.
    pub at_deadline: bool,
    /// Of a success: the answer is the faulty server's, not that of a healthy one.
    pub word: Option<&'static str>,
}

impl Expect {
    fn new(status: &'static str, attempts: u32) -> Expect {
        let word = (status == OK).then_some("good");
        Expect { status, or: None, attempts: (attempts, attempts), phase: None, http: None, at_deadline: false, word }
    }
}

pub struct Row {
    /// Group of behaviours that it belongs to.
    pub group: &'static str,
    pub name: String,
    /// What the server does, for the documentation.
    pub what: String,
    pub net: Net,
    pub fault: Fault,
    /// There has been a good call before, whose connection is kept.
    pub warm: bool,
    /// The request has a body of several hundred kilobytes.
    pub big: bool,
    pub deadline: u32,
    /// Merged into the configuration.
    pub config: Value,
    /// Host name in place of 127.0.0.1.
    pub host: Option<&'static str>,
    /// Variable of the preloaded shim that makes the fault.
    pub shim: Option<(&'static str, i64)>,
    /// It does not get better: there is no healthy server of this kind.
    pub incurable: bool,
    /// The server wants to be left alone: for some time the next calls do not reach it.
    pub rests: bool,
    /// The event of a later download that meets the fault.
    pub later: &'static str,
    /// The process can open no descriptor.
    pub no_descriptors: bool,
    /// What an HTTP/2 server sends with its first answer, while it is healthy.
    pub with_answer: Option<fn(&mut h2::Connection) -> io::Result<()>>,
    /// Meetings that the server counts, when they are not the attempts.
    pub seen: Option<(u32, u32)>,
    /// Runs in the long form only, with the reason for that in `what`.
    pub long: bool,
    pub delivery: Option<Expect>,
    pub notifications: Option<Expect>,
    pub artifact: Option<Expect>,
}

/// A row that expects nothing yet.
fn row(group: &'static str, name: impl Into<String>, what: impl Into<String>) -> Row {
    Row {
        group,
        name: name.into(),
        what: what.into(),
        net: Net::Plain,
        fault: Fault::None,
        warm: false,
        big: false,
        deadline: 20_000,
        config: Value::Null,
        host: None,
        shim: None,
        incurable: false,
        rests: false,
        later: "artifactDownloadFailed",
        no_descriptors: false,
        with_answer: None,
        seen: None,
        long: false,
        delivery: None,
        notifications: None,
        artifact: None,
    }
}

impl Row {
    fn net(self, net: Net) -> Row {
        Row { net, ..self }
    }

    fn on_accept(self, script: impl Fn(&Shared, TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Row {
        Row { fault: Fault::OnAccept(Box::new(script)), ..self }
    }

    fn on_head(self, script: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static) -> Row {
        Row { fault: Fault::OnHead(Box::new(script)), ..self }
    }

    fn on_request(self, script: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static) -> Row {
        Row { fault: Fault::OnRequest(Box::new(script)), ..self }
    }

    fn on_reuse(self, script: impl Fn(&mut Exchange<'_>) -> io::Result<Then> + Send + Sync + 'static) -> Row {
        Row { fault: Fault::OnReuse(Box::new(script)), warm: true, ..self }
    }

    fn on_preface(
        self,
        script: impl Fn(&Shared, &mut h2::Connection) -> io::Result<()> + Send + Sync + 'static,
    ) -> Row {
        Row { fault: Fault::OnPreface(Box::new(script)), net: Net::H2, ..self }
    }

    fn on_stream(
        self,
        script: impl Fn(&Shared, &mut h2::Connection, u32, u32) -> io::Result<Then> + Send + Sync + 'static,
    ) -> Row {
        Row { fault: Fault::OnStream(Box::new(script)), net: Net::H2, ..self }
    }

    /// A raw answer, made from the correct body; the connection is kept.
    fn answers(self, make: impl Fn(&[u8]) -> Vec<u8> + Send + Sync + 'static) -> Row {
        self.on_request(move |x| {
            let body = x.body();
            x.send(make(&body))?;
            Ok(Then::Serve)
        })
    }

    fn config(self, config: Value) -> Row {
        Row { config, ..self }
    }

    /// Calls end like this.
    fn calls(self, status: &'static str, attempts: u32) -> Row {
        let expect = Expect::new(status, attempts);
        Row { delivery: Some(expect.clone()), notifications: Some(expect), ..self }
    }

    fn each_call(mut self, change: impl Fn(&mut Expect)) -> Row {
        for expect in [&mut self.delivery, &mut self.notifications].into_iter().flatten() {
            change(expect);
        }
        self
    }

    fn phase(self, phase: &'static str) -> Row {
        self.each_call(|expect| expect.phase = Some(phase))
    }

    fn http(self, status: u16) -> Row {
        self.each_call(|expect| expect.http = Some(status))
    }

    /// Calls run into this deadline.
    fn times_out(self, deadline: u32, phase: &'static str, attempts: u32) -> Row {
        let row = Row { deadline, ..self }.calls(TIMEOUT, attempts).phase(phase);
        row.each_call(|expect| expect.at_deadline = true)
    }

    /// At most so many attempts.
    fn up_to(mut self, attempts: u32) -> Row {
        for expect in [&mut self.delivery, &mut self.notifications].into_iter().flatten() {
            expect.attempts.1 = attempts;
        }
        self
    }

    fn or(self, status: &'static str) -> Row {
        self.each_call(|expect| expect.or = Some(status))
    }

    fn artifact_or(mut self, status: &'static str) -> Row {
        if let Some(expect) = &mut self.artifact {
            expect.or = Some(status);
        }
        self
    }

    /// The first download ends like this.
    fn artifact(self, status: &'static str, attempts: u32) -> Row {
        Row { artifact: Some(Expect::new(status, attempts)), ..self }
    }

    fn artifact_up_to(mut self, attempts: u32) -> Row {
        if let Some(expect) = &mut self.artifact {
            expect.attempts.1 = attempts;
        }
        self
    }

    /// All is well, in so many attempts.
    fn succeeds(self, attempts: u32) -> Row {
        self.calls(OK, attempts).artifact(OK, attempts)
    }

    /// What the answer has in it.
    fn word(mut self, word: Option<&'static str>) -> Row {
        for expect in [&mut self.delivery, &mut self.notifications, &mut self.artifact].into_iter().flatten() {
            if expect.status == OK {
                expect.word = word;
            }
        }
        self
    }

    fn seen(self, least: u32, most: u32) -> Row {
        Row { seen: Some((least, most)), ..self }
    }

    fn unseen(self) -> Row {
        self.seen(0, 0)
    }

    pub fn expect(&self, subject: Subject) -> Option<&Expect> {
        match subject {
            Subject::Delivery => self.delivery.as_ref(),
            Subject::Notifications => self.notifications.as_ref(),
            Subject::Artifact => self.artifact.as_ref(),
        }
    }
}

/// Groups, in the order of the documentation.
pub const GROUPS: [(&str, &str); 14] = [
    ("connections", "Connections"),
    ("times", "Time"),
    ("framing", "Where a message ends"),
    ("heads", "Heads"),
    ("bodies", "Bodies"),
    ("compression", "Compression"),
    ("redirects", "Redirects"),
    ("statuses", "Statuses"),
    ("tls", "TLS"),
    ("http2", "HTTP/2"),
    ("names", "Names and addresses"),
    ("proxies", "Proxies"),
    ("artifacts", "Artifacts"),
    ("machine", "The machine"),
];

/// All rows.
pub fn rows() -> Vec<Arc<Row>> {
    let mut rows = Vec::new();
    for part in [
        connection::rows(),
        framing::rows(),
        headers::rows(),
        content::rows(),
        redirects::rows(),
        statuses::rows(),
        tls::rows(),
        http2::rows(),
        names::rows(),
        proxy::rows(),
        artifact::rows(),
    ] {
        rows.extend(part.into_iter().map(Arc::new));
    }
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|two| two[0] == two[1]);
    assert!(twice.is_none(), "two rows of the name {twice:?}");
    for row in &rows {
        assert!(GROUPS.iter().any(|(group, _)| *group == row.group), "{} is in no group", row.name);
        assert!(Subject::ALL.iter().any(|subject| row.expect(*subject).is_some()), "{} expects nothing", row.name);
    }
    rows
}
