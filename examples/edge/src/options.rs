//! The command line.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use crate::fault::{FAULTS, FaultRule, parse_status};

/// How an edge behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Port on 127.0.0.1; 0 = the system picks one.
    pub port: u16,
    /// HTTPS instead of HTTP.
    pub tls: bool,
    /// Where the PEM of the certificate authority is written.
    pub tls_cert_out: Option<PathBuf>,
    /// The only client code served; none = any.
    pub client: Option<String>,
    /// The only organization served, and the one `rules.bin` is made for; none = any.
    pub organization: Option<String>,
    /// The rules artifact.
    pub artifact: Option<PathBuf>,
    /// The offers file.
    pub offers: Option<PathBuf>,
    /// Number of the edge cluster in `edgeHost` and in new tntIds.
    pub cluster: u32,
    /// Waited before every answer except those of `/debug`.
    pub delay: Duration,
    /// The status of every delivery answer; none = what the request deserves.
    pub status: Option<u16>,
    /// Faults from the start.
    pub faults: Vec<FaultRule>,
    /// Exit when standard input ends.
    pub exit_with_parent: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            port: 0,
            tls: false,
            tls_cert_out: None,
            client: None,
            organization: None,
            artifact: None,
            offers: None,
            cluster: 28,
            delay: Duration::ZERO,
            status: None,
            faults: Vec::new(),
            exit_with_parent: false,
        }
    }
}

/// What the command line asks for.
#[derive(Debug, Clone)]
pub enum Command {
    /// Serve.
    Run(Box<Options>),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}

/// Reads the arguments behind the program's name.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut options = Options { port: 9700, ..Options::default() };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        // Both `--port 80` and `--port=80`.
        let (flag, mut inline) = match argument.split_once('=') {
            Some((flag, value)) if flag.starts_with("--") => (flag.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value = || {
            inline
                .take()
                .or_else(|| arguments.next())
                .filter(|value| !value.is_empty())
                .ok_or_else(|| format!("{flag} needs a value"))
        };
        match flag.as_str() {
            "--port" => options.port = number(&flag, &value()?)?,
            "--tls" => options.tls = true,
            "--tls-cert-out" => options.tls_cert_out = Some(PathBuf::from(value()?)),
            "--client" => options.client = Some(value()?),
            "--org" => options.organization = Some(value()?),
            "--artifact" => options.artifact = Some(PathBuf::from(value()?)),
            "--offers" => options.offers = Some(PathBuf::from(value()?)),
            "--cluster" => options.cluster = number(&flag, &value()?)?,
            "--delay" => options.delay = Duration::from_millis(number::<u32>(&flag, &value()?)?.into()),
            "--status" => {
                options.status = Some(parse_status(&value()?).map_err(|error| format!("--status: {error}"))?);
            }
            "--fault" => {
                let rule = FaultRule::parse(&value()?).map_err(|error| format!("--fault: {error}"))?;
                options.faults.push(rule);
            }
            "--exit-with-parent" => options.exit_with_parent = true,
            "--help" | "-h" => return Ok(Command::Help),
            "--version" | "-V" => return Ok(Command::Version),
            _ => return Err(format!("unknown argument `{flag}`")),
        }
        if inline.is_some() {
            return Err(format!("{flag} takes no value"));
        }
    }
    if options.tls_cert_out.is_some() && !options.tls {
        return Err("--tls-cert-out needs --tls".to_owned());
    }
    Ok(Command::Run(Box::new(options)))
}

fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{flag}: `{text}` is no number in its range"))
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(HELP);
    for (name, meaning) in FAULTS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<22} {meaning}");
    }
    text
}

const HELP: &str = "\
target-edge: a local Adobe Target edge on 127.0.0.1, for development and tests

usage: target-edge [OPTIONS]

  --port N              port, 0 = the system picks one (default 9700)
  --tls                 HTTPS (HTTP/2 by ALPN) with a certificate made at start
  --tls-cert-out FILE   write the PEM of the certificate authority to trust
  --client CODE         serve this client code only (default: any)
  --org ID              serve this imsOrgId only; also the key of rules.bin (default: any)
  --artifact FILE       rules artifact to serve and to decide by; read again when it changes
  --offers FILE         offers for what the artifact has no rules for; read again when it changes
  --cluster N           edge cluster in edgeHost and tntId (default 28)
  --delay MS            wait before every answer (not /debug)
  --status CODE         answer every delivery request with this status
  --fault [TARGET=]NAME[:ARG][:N]
                        misbehave for the next N requests or all; may be repeated, used in order;
                        TARGET: delivery (default), artifact, geo, all
  --exit-with-parent    exit when standard input ends
  --help, --version

endpoints:
  POST /rest/v1/delivery?imsOrgId=..&sessionId=..
  GET  /{client}/{environment}/v1[/{propertyToken}]/rules.json | rules.bin
  GET  /v1/geo
  GET, DELETE        /debug/received[?path=PATH]   what arrived
  GET                /debug/stats
  GET, POST, DELETE  /debug/fault   {\"target\":\"delivery\",\"name\":\"status:503\",\"times\":2,\"delayMs\":100}

faults:
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    fn run(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(str::to_owned))? {
            Command::Run(options) => Ok(*options),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn all_flags() {
        let options = run("--port 0 --tls --tls-cert-out ca.pem --client acme --org=A@AdobeOrg --artifact a.json \
             --offers=o.json --cluster 35 --delay 20 --status 500 --fault reset:1 --fault=geo=status:404 \
             --exit-with-parent")
        .unwrap();
        assert_eq!((options.port, options.cluster, options.status), (0, 35, Some(500)));
        assert_eq!(options.client.as_deref(), Some("acme"));
        assert_eq!(options.organization.as_deref(), Some("A@AdobeOrg"));
        assert_eq!(options.delay, Duration::from_millis(20));
        assert_eq!(options.faults.len(), 2);
        assert_eq!(options.faults[1].fault, Some(Fault::Status(404)));
        assert!(options.tls && options.exit_with_parent);
        assert_eq!(run("").unwrap().port, 9700);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, part) in [
            ("--port", "--port needs a value"),
            ("--port 70000", "`70000`"),
            ("--port= --tls", "--port needs a value"),
            ("--tls=yes", "--tls takes no value"),
            ("--tls-cert-out x", "--tls-cert-out needs --tls"),
            ("--fault moon", "unknown fault `moon`"),
            ("--status 99", "--status"),
            ("--delay -1", "--delay"),
            ("serve", "unknown argument `serve`"),
        ] {
            let error = run(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        assert!(matches!(parse(["-h".to_owned()]), Ok(Command::Help)));
        assert!(help().contains("disconnect-keepalive"));
    }
}
