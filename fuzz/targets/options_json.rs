//! The configuration of a client. What is accepted makes safe URLs; what is refused says where it is wrong.

use target_sdk_core::config::Config;
use target_sdk_core::delivery::endpoint;
use target_sdk_core::error::ErrorKind;
use target_sdk_core::fuzzing::artifact;
use target_sdk_core::transport::Transport;
use url::Url;

use super::support::{check_error, json};

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = Config::parse(text);
    let padded = Config::parse(&format!(" {text}\n"));
    match (&parsed, padded) {
        (Ok(config), Ok(padded)) => assert_eq!(format!("{config:?}"), format!("{padded:?}")),
        (Err(error), Err(padded)) => assert_eq!((error.kind(), error.path()), (padded.kind(), padded.path())),
        (one, other) => panic!("white space matters: {one:?} {other:?}"),
    }
    match parsed {
        Ok(config) => accepted(&config, text),
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::InvalidJson | ErrorKind::InvalidOptions), "{error:?}");
            check_error(&error);
        }
    }
}

fn accepted(config: &Config, text: &str) {
    let document = json(text);
    assert_eq!(document["client"], config.client.as_str());
    if config.strict {
        let mut lenient = document;
        lenient["strict"] = false.into();
        let lenient = Config::parse(&lenient.to_string()).expect("what strict accepts, lenient accepts");
        assert_eq!(format!("{:?}", Config { strict: true, ..lenient }), format!("{config:?}"));
    }

    let delivery = endpoint::url(config, None, "session");
    let url = Url::parse(&delivery).unwrap_or_else(|error| panic!("{error}: {delivery}"));
    assert_eq!(url.scheme(), if config.secure { "https" } else { "http" });
    assert_eq!(url.path(), "/rest/v1/delivery");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    let expected = match config.server_domain.as_deref().filter(|domain| !domain.is_empty()) {
        Some(domain) => domain.to_owned(),
        None => format!("{}.tt.omtrdc.net", config.client),
    };
    let expected = Url::parse(&format!("{}://{expected}/", url.scheme())).expect("host of the configuration");
    assert_eq!((url.host(), url.port()), (expected.host(), expected.port()));

    if let Ok(location) = artifact::location(config) {
        let url = Url::parse(&location).unwrap_or_else(|error| panic!("{error}: {location}"));
        assert!(url.scheme() == "https" || (!config.secure && url.scheme() == "http"), "{location}");
        assert!(url.has_host() && url.username().is_empty() && url.password().is_none(), "{location}");
    }
    if let Err(error) = Transport::new(&config.transport) {
        check_error(&error);
    }
}
