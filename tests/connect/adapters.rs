//! The clients of the three adapters behind one function.

use std::time::Duration;

use hybi::adapters::{futures_io, net, tokio as on_tokio};
use hybi::proxy::Proxy;

pub type ConnectError = net::ConnectError<()>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adapter {
    Net,
    Tokio,
    FuturesIo,
}

pub const ADAPTERS: [Adapter; 3] = [Adapter::Net, Adapter::Tokio, Adapter::FuturesIo];

/// The settings of a client.
#[derive(Clone)]
pub struct Settings {
    pub proxy: Proxy,
    pub limit: Duration,
    pub header: Option<(&'static str, &'static str)>,
}

impl Settings {
    /// Returns the settings with a proxy, and with a longer time limit than a test needs.
    pub fn proxy(url: &str) -> Self {
        Self { proxy: Proxy::url(url).unwrap(), limit: Duration::from_secs(30), header: None }
    }
}

/// The target of a client.
#[derive(Clone, Copy)]
pub enum To<'a> {
    Url(&'a str),
    #[cfg(unix)]
    Unix(&'a std::path::Path, &'a str),
}

macro_rules! settings {
    ($client:expr, $settings:expr) => {{
        let Settings { proxy, limit, header } = $settings.clone();
        let client = $client.proxy(proxy).open_timeout(Some(limit));
        match header {
            Some((name, value)) => client.header(name, value),
            None => client,
        }
    }};
}

/// Sends "hello", and returns the answer. Returns `None` if the peer has closed the connection.
macro_rules! talk {
    ($ws:expr $(, $wait:ident)?) => {{
        let mut ws = $ws;
        ws.send_text("hello")$(.$wait)?.unwrap();
        ws.recv()$(.$wait)?.unwrap().map(|message| message.as_text().unwrap().to_owned())
    }};
}

impl Adapter {
    /// Opens a WebSocket, sends "hello", and returns the answer.
    pub fn connect(self, settings: &Settings, to: To<'_>) -> Result<Option<String>, ConnectError> {
        match self {
            Self::Net => {
                let client = settings!(net::Client::new(), settings);
                match to {
                    To::Url(url) => Ok(talk!(client.connect(url).map_err(|e| e.without_stream())?)),
                    #[cfg(unix)]
                    To::Unix(path, url) => {
                        Ok(talk!(client.connect_unix(path, url).map_err(|e| e.without_stream())?))
                    }
                }
            }
            Self::Tokio => {
                let runtime = ::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let client = settings!(on_tokio::Client::new(), settings);
                    match to {
                        To::Url(url) => {
                            Ok(talk!(client.connect(url).await.map_err(|e| e.without_stream())?, await))
                        }
                        #[cfg(unix)]
                        To::Unix(path, url) => {
                            let opened = client.connect_unix(path, url).await;
                            Ok(talk!(opened.map_err(|e| e.without_stream())?, await))
                        }
                    }
                })
            }
            Self::FuturesIo => smol::block_on(async {
                let client = settings!(futures_io::Client::new(), settings);
                match to {
                    To::Url(url) => {
                        Ok(talk!(client.connect(url).await.map_err(|e| e.without_stream())?, await))
                    }
                    #[cfg(unix)]
                    To::Unix(path, url) => {
                        let opened = client.connect_unix(path, url).await;
                        Ok(talk!(opened.map_err(|e| e.without_stream())?, await))
                    }
                }
            }),
        }
    }
}

/// Returns a short name of an error: its variant, and the status, stage or kind in it.
pub fn name(error: &ConnectError) -> String {
    match error {
        ConnectError::Proxy(hybi::proxy::ProxyError::Refused(refusal)) => {
            format!("Refused {}", refusal.status())
        }
        ConnectError::Proxy(error) => format!("{error:?}"),
        ConnectError::Deadline(error) => format!("Deadline {:?}", error.stage()),
        ConnectError::Io(error) => format!("Io {:?}", error.kind()),
        ConnectError::Http(response) => format!("Http {}", response.status),
        error => format!("{error:?}"),
    }
}
