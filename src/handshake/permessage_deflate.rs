//! The parameters of permessage-deflate and their negotiation (RFC 7692 5 and 7.1), for both roles.
//!
//! Always built, so that an offer can be read, and declined, without a compressor.

use core::fmt;

use super::extensions::{Extension, Extensions, Malformed, Value, each_part};
use super::write::{NoRoom, Writer};

/// The extension's registered name. Names are compared as registered: case matters.
pub(crate) const PERMESSAGE_DEFLATE: &str = "permessage-deflate";

/// What both ends agreed on: the parameters of a response (RFC 7692 7.1).
///
/// Its [`Display`](fmt::Display) form is the text of the header.
///
/// ```
/// use hybi::handshake::DeflateParams;
///
/// let params = DeflateParams { server_max_window_bits: Some(10), ..DeflateParams::default() };
/// let mut out = [0; DeflateParams::MAX_LEN];
/// let len = params.write(&mut out)?;
/// assert_eq!(&out[..len], b"permessage-deflate; server_max_window_bits=10");
/// assert_eq!((params.server_window_bits(), params.client_window_bits()), (10, 15));
/// # Ok::<(), hybi::handshake::NoRoom>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeflateParams {
    /// The server starts each message with an empty window (RFC 7692 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// The client starts each message with an empty window (RFC 7692 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// Base-2 logarithm of the server's window, 8 to 15; 15 if absent (RFC 7692 7.1.2.1).
    pub server_max_window_bits: Option<u8>,
    /// Base-2 logarithm of the client's window, 8 to 15; 15 if absent (RFC 7692 7.1.2.2).
    pub client_max_window_bits: Option<u8>,
}

impl DeflateParams {
    /// No set of parameters, and no offer, is longer than this as text, whatever the numbers in it.
    pub const MAX_LEN: usize = 130;

    /// The base-2 logarithm of the window that the server compresses with.
    #[must_use]
    pub fn server_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(15)
    }

    /// The base-2 logarithm of the window that the client compresses with.
    #[must_use]
    pub fn client_window_bits(&self) -> u8 {
        self.client_max_window_bits.unwrap_or(15)
    }

    /// Writes the header's value into `out`; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if `out` is too small; [`DeflateParams::MAX_LEN`] bytes always do.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        Writer::new(out).display(self).finish()
    }

    /// RFC 7692 7: none if a parameter is unknown, repeated or invalid in a response.
    pub(crate) fn from_response(response: &Extension<'_>) -> Option<Self> {
        let offer = DeflateOffer::from_extension(response)?;
        Some(Self {
            server_no_context_takeover: offer.server_no_context_takeover,
            client_no_context_takeover: offer.client_no_context_takeover,
            server_max_window_bits: offer.server_max_window_bits,
            client_max_window_bits: match offer.client_max_window_bits {
                ClientWindow::Unsupported => None,
                // RFC 7692 7.1.2.2: in a response it MUST have a value.
                ClientWindow::Supported => return None,
                ClientWindow::AtMost(bits) => Some(bits),
            },
        })
    }
}

impl fmt::Display for DeflateParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DeflateOffer {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            server_max_window_bits: self.server_max_window_bits,
            client_max_window_bits: match self.client_max_window_bits {
                None => ClientWindow::Unsupported,
                Some(bits) => ClientWindow::AtMost(bits),
            },
        }
        .fmt(f)
    }
}

/// What an offer says of the client's own window (RFC 7692 7.1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientWindow {
    /// `client_max_window_bits` is absent: the server must not limit the client's window.
    Unsupported,
    /// It stands there without a value: the server may limit the window. What browsers send.
    #[default]
    Supported,
    /// The client will use no more than this, 8 to 15, and the server may ask for less.
    AtMost(u8),
}

/// What a client offers (RFC 7692 7.1).
///
/// ```
/// use hybi::handshake::DeflateOffer;
///
/// let mut out = [0; 130];
/// let len = DeflateOffer::default().write(&mut out)?;
/// assert_eq!(&out[..len], b"permessage-deflate; client_max_window_bits");
/// # Ok::<(), hybi::handshake::NoRoom>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeflateOffer {
    /// Ask the server to start each message with an empty window (RFC 7692 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// Announce that the client will do so (RFC 7692 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// Ask the server for a window of at most so many bits, 8 to 15 (RFC 7692 7.1.2.1).
    pub server_max_window_bits: Option<u8>,
    /// Whether the server may limit the client's window (RFC 7692 7.1.2.2).
    pub client_max_window_bits: ClientWindow,
}

impl DeflateOffer {
    /// Writes the header's value into `out`; returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`NoRoom`] if `out` is too small; [`DeflateParams::MAX_LEN`] bytes always do.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        Writer::new(out).display(self).finish()
    }

    /// The offer in an extension of this name; none if a parameter is unknown, repeated, or has a
    /// value that it must not have (RFC 7692 7).
    #[must_use]
    pub fn from_extension(extension: &Extension<'_>) -> Option<Self> {
        if extension.name != PERMESSAGE_DEFLATE {
            return None;
        }
        let mut offer = Self { client_max_window_bits: ClientWindow::Unsupported, ..Self::default() };
        for (name, value) in extension.params() {
            match (name, value) {
                // RFC 7692 7.1.1: without a value. The guards refuse what is repeated (7692 7.1).
                ("server_no_context_takeover", None) if !offer.server_no_context_takeover => {
                    offer.server_no_context_takeover = true;
                }
                ("client_no_context_takeover", None) if !offer.client_no_context_takeover => {
                    offer.client_no_context_takeover = true;
                }
                ("server_max_window_bits", Some(value)) if offer.server_max_window_bits.is_none() => {
                    offer.server_max_window_bits = Some(window_bits(value)?);
                }
                ("client_max_window_bits", value)
                    if offer.client_max_window_bits == ClientWindow::Unsupported =>
                {
                    offer.client_max_window_bits = match value {
                        None => ClientWindow::Supported,
                        Some(value) => ClientWindow::AtMost(window_bits(value)?),
                    };
                }
                _ => return None,
            }
        }
        Some(offer)
    }

    /// What a server that wants `config` answers to this offer.
    ///
    /// The server's window is the smaller one of what is asked and what is wanted. What the client
    /// says of itself is confirmed, as both ends can save memory by it. A limit on the client's
    /// window that the offer does not allow is left out, as it must be (RFC 7692 7.1.2.2).
    #[must_use]
    pub fn accept(&self, config: &DeflateConfig) -> DeflateParams {
        let server = config.server_max_window_bits.clamp(8, 15);
        let client = config.client_max_window_bits.clamp(8, 15);
        let below_15 = |bits| if bits < 15 { Some(bits) } else { None };
        DeflateParams {
            // RFC 7692 7.1.1.1: MUST be confirmed, and may be announced unasked.
            server_no_context_takeover: self.server_no_context_takeover || config.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || config.client_no_context_takeover,
            // RFC 7692 7.1.2.1: the same or a smaller value.
            server_max_window_bits: match self.server_max_window_bits {
                Some(asked) => Some(asked.min(server)),
                None => below_15(server),
            },
            client_max_window_bits: match self.client_max_window_bits {
                ClientWindow::Unsupported => None,
                ClientWindow::Supported => below_15(client),
                ClientWindow::AtMost(announced) => Some(announced.min(client)),
            },
        }
    }

    /// Whether `response` is an answer that this offer allows.
    #[must_use]
    pub fn permits(&self, response: &DeflateParams) -> bool {
        // RFC 7692 7.1.1.1: what was asked for is in the response.
        let takeover = response.server_no_context_takeover || !self.server_no_context_takeover;
        // RFC 7692 7.1.2.1: with the same or a smaller value.
        let server = match (self.server_max_window_bits, response.server_max_window_bits) {
            (Some(asked), Some(answered)) => answered <= asked,
            (Some(_), None) => false,
            (None, _) => true,
        };
        // RFC 7692 7.1.2.2: only if it was in the offer, and not more than was announced.
        let client = match (self.client_max_window_bits, response.client_max_window_bits) {
            (ClientWindow::Unsupported, Some(_)) => false,
            (ClientWindow::AtMost(announced), Some(answered)) => answered <= announced,
            (_, None) | (ClientWindow::Supported, Some(_)) => true,
        };
        takeover && server && client
    }
}

impl fmt::Display for DeflateOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PERMESSAGE_DEFLATE)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if let Some(bits) = self.server_max_window_bits {
            write!(f, "; server_max_window_bits={bits}")?;
        }
        match self.client_max_window_bits {
            ClientWindow::Unsupported => Ok(()),
            ClientWindow::Supported => f.write_str("; client_max_window_bits"),
            ClientWindow::AtMost(bits) => write!(f, "; client_max_window_bits={bits}"),
        }
    }
}

/// What a server itself wants of permessage-deflate. Offers that ask for less get it anyway.
///
/// ```
/// use hybi::handshake::{DeflateConfig, negotiate_offer};
///
/// let config = DeflateConfig { client_max_window_bits: 10, ..DeflateConfig::new() };
/// let offer: &[u8] = b"permessage-deflate; client_max_window_bits";
/// let agreed = negotiate_offer([offer], &config)?;
/// assert!(agreed.is_some_and(|params| params.client_max_window_bits == Some(10)));
/// # Ok::<(), hybi::handshake::Malformed>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeflateConfig {
    /// Start each message that is sent with an empty window; false by default.
    pub server_no_context_takeover: bool,
    /// Have the client do the same; false by default.
    pub client_no_context_takeover: bool,
    /// Bits of the window to compress with, 8 to 15 (others count as the nearest); 15 by default.
    pub server_max_window_bits: u8,
    /// Bits of the window that the client is to compress with, 8 to 15; 15 by default. Only a wish:
    /// a client whose offer does not name `client_max_window_bits` cannot be limited.
    pub client_max_window_bits: u8,
}

impl DeflateConfig {
    /// The defaults: context takeover and windows of 15 bits (32 KiB) both ways.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        }
    }
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// What is wrong with the extensions in a server's response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The header does not match its grammar (RFC 6455 9.1).
    Malformed,
    /// An extension that was not offered (RFC 6455 4.1 (5)).
    NotOffered,
    /// permessage-deflate twice: two users of RSV1 (RFC 7692 5).
    Repeated,
    /// A parameter of permessage-deflate is unknown, repeated or invalid (RFC 7692 7).
    Parameter,
    /// The parameters do not agree with the offer (RFC 7692 7.1).
    Disagrees,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed Sec-WebSocket-Extensions (RFC 6455 9.1): the server is at fault",
            Self::NotOffered => {
                "Sec-WebSocket-Extensions names an extension that was not offered (RFC 6455 4.1 (5)): \
                 offer it, or switch it off in the server"
            }
            Self::Repeated => {
                "Sec-WebSocket-Extensions names permessage-deflate twice (RFC 7692 5): the server is at fault"
            }
            Self::Parameter => {
                "Sec-WebSocket-Extensions has an unknown, repeated or invalid parameter of \
                 permessage-deflate (RFC 7692 7): the server is at fault"
            }
            Self::Disagrees => {
                "Sec-WebSocket-Extensions does not agree with the offer (RFC 7692 7.1): \
                 the server is at fault, or the offer asks for more than it can do"
            }
        })
    }
}

impl core::error::Error for ExtensionError {}

impl From<Malformed> for ExtensionError {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// Chooses, as a server, the first offer of permessage-deflate that can be accepted; `None` if
/// there is none (go on without it). `values` are those of the `Sec-WebSocket-Extensions` headers.
///
/// # Errors
///
/// [`Malformed`] if a value does not match the grammar: then the handshake must be refused
/// (RFC 6455 9.1).
pub fn negotiate_offer<'h>(
    values: impl IntoIterator<Item = &'h [u8]>,
    config: &DeflateConfig,
) -> Result<Option<DeflateParams>, Malformed> {
    let mut chosen = None;
    each_part(values, |offers| {
        chosen = chosen.or_else(|| choose(offers, config));
        Ok::<_, Malformed>(())
    })?;
    Ok(chosen)
}

/// RFC 7692 5: the first acceptable offer. One with a parameter that is unknown, repeated or
/// invalid is declined (RFC 7692 7), and the next has its turn.
pub(crate) fn choose(offers: Extensions<'_>, config: &DeflateConfig) -> Option<DeflateParams> {
    offers.iter().find_map(|offer| DeflateOffer::from_extension(&offer)).map(|offer| offer.accept(config))
}

/// Checks, as a client, the extensions of a response against those that were offered; the
/// parameters of permessage-deflate, if it is in use. Both are the values of
/// `Sec-WebSocket-Extensions` headers.
///
/// # Errors
///
/// [`ExtensionError`] says why the connection must be failed (RFC 6455 4.1 (5), RFC 7692 7).
///
/// ```
/// use hybi::handshake::{ExtensionError, check_response};
///
/// let offer: &[u8] = b"permessage-deflate; server_max_window_bits=10";
/// let larger: &[u8] = b"permessage-deflate; server_max_window_bits=12";
/// assert_eq!(check_response([offer], [larger]), Err(ExtensionError::Disagrees));
/// assert_eq!(check_response([offer], []), Ok(None));
/// ```
pub fn check_response<'o, 'r, O>(
    offer: O,
    response: impl IntoIterator<Item = &'r [u8]>,
) -> Result<Option<DeflateParams>, ExtensionError>
where
    O: IntoIterator<Item = &'o [u8]>,
    O::IntoIter: Clone,
{
    let offer = offer.into_iter();
    let offered = || offer.clone().filter_map(|value| Extensions::parse(value).ok()).flatten();
    let mut agreed = None;
    each_part(response, |extensions| judge(extensions, offered, &mut agreed))?;
    Ok(agreed)
}

/// Judges the extensions of a response, and puts the parameters of permessage-deflate into `agreed`.
pub(crate) fn judge<'o, I>(
    response: Extensions<'_>,
    offered: impl Fn() -> I,
    agreed: &mut Option<DeflateParams>,
) -> Result<(), ExtensionError>
where
    I: Iterator<Item = Extension<'o>>,
{
    for extension in response {
        if !offered().any(|offer| offer.name == extension.name) {
            // RFC 6455 4.1 (5)
            return Err(ExtensionError::NotOffered);
        }
        if extension.name != PERMESSAGE_DEFLATE {
            continue;
        }
        if agreed.is_some() {
            // RFC 7692 5
            return Err(ExtensionError::Repeated);
        }
        let params = DeflateParams::from_response(&extension).ok_or(ExtensionError::Parameter)?;
        let mut offers = offered().filter_map(|offer| DeflateOffer::from_extension(&offer));
        if !offers.any(|offer| offer.permits(&params)) {
            return Err(ExtensionError::Disagrees);
        }
        *agreed = Some(params);
    }
    Ok(())
}

/// RFC 7692 7.1.2: a decimal from 8 to 15 without leading zeros.
fn window_bits(value: Value<'_>) -> Option<u8> {
    let mut digits = value.bytes();
    match (digits.next()?, digits.next(), digits.next()) {
        (digit @ b'8'..=b'9', None, None) => Some(digit - b'0'),
        (b'1', Some(digit @ b'0'..=b'5'), None) => Some(10 + (digit - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn negotiate(offer: &str, config: &DeflateConfig) -> Option<DeflateParams> {
        negotiate_offer([offer.as_bytes()], config).unwrap()
    }

    #[test]
    fn s7692_7_1_2_window_bits_are_8_to_15() {
        for (value, bits) in [("8", 8), ("9", 9), ("10", 10), ("15", 15), ("\"12\"", 12), ("\"1\\3\"", 13)] {
            let offer = std::format!("permessage-deflate; server_max_window_bits={value}");
            let params = negotiate(&offer, &DeflateConfig::new()).unwrap();
            assert_eq!(params.server_max_window_bits, Some(bits));
        }
        for value in ["7", "16", "0", "08", "1", "010", "+10", "-9", "1e1", "266", "10.0", "0xa", "100", "a"]
        {
            let offer = std::format!("permessage-deflate; client_max_window_bits={value}");
            assert_eq!(negotiate(&offer, &DeflateConfig::new()), None, "{value}");
        }
    }

    #[test]
    fn s7692_7_1_no_parameter_stands_there_twice() {
        for (first, second) in [
            ("server_no_context_takeover", "server_no_context_takeover"),
            ("client_no_context_takeover", "client_no_context_takeover"),
            ("server_max_window_bits=10", "server_max_window_bits=10"),
            ("client_max_window_bits", "client_max_window_bits=10"),
            ("client_max_window_bits=10", "client_max_window_bits"),
        ] {
            let offer = std::format!("permessage-deflate; {first}; {second}");
            assert_eq!(negotiate(&offer, &DeflateConfig::new()), None, "{offer}");
        }
    }

    #[test]
    fn s7692_7_1_an_answer_agrees_with_its_offer() {
        let check = |offer: &str, answer: &str| {
            let value = |params: &str| std::format!("permessage-deflate{params}");
            check_response([value(offer).as_bytes()], [value(answer).as_bytes()])
        };
        for (offer, answers) in [
            ("", &["", "; server_no_context_takeover", "; server_max_window_bits=8"][..]),
            ("; server_no_context_takeover", &["; server_no_context_takeover"]),
            ("; client_no_context_takeover", &["", "; client_no_context_takeover"]),
            ("; server_max_window_bits=10", &["; server_max_window_bits=10", "; server_max_window_bits=9"]),
            ("; client_max_window_bits", &["", "; client_max_window_bits=15"]),
            (
                "; client_max_window_bits=10",
                &["", "; client_max_window_bits=10", "; client_max_window_bits=9"],
            ),
        ] {
            for answer in answers {
                assert!(check(offer, answer).is_ok(), "{offer}: {answer}");
            }
        }
        for (offer, answer) in [
            ("", "; client_max_window_bits=15"),
            ("; server_no_context_takeover", ""),
            ("; server_max_window_bits=10", ""),
            ("; server_max_window_bits=10", "; server_max_window_bits=11"),
            ("; client_max_window_bits=10", "; client_max_window_bits=11"),
        ] {
            assert_eq!(check(offer, answer), Err(ExtensionError::Disagrees), "{offer}: {answer}");
        }
        assert_eq!(check("", "-2"), Err(ExtensionError::NotOffered));
        assert_eq!(check("", ", permessage-deflate"), Err(ExtensionError::Repeated));
        assert_eq!(check("", ";"), Err(ExtensionError::Malformed));
        for answer in ["; unknown", "; client_max_window_bits", "; server_max_window_bits=16"] {
            assert_eq!(check("; client_max_window_bits", answer), Err(ExtensionError::Parameter), "{answer}");
        }
    }

    #[test]
    fn s7692_7_1_what_is_written_is_what_is_shown() {
        let longest = DeflateParams {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: Some(u8::MAX),
            client_max_window_bits: Some(u8::MAX),
        };
        assert_eq!(longest.to_string().len(), DeflateParams::MAX_LEN);
        let mut out = [0; DeflateParams::MAX_LEN];
        for params in [longest, DeflateParams::default()] {
            let len = params.write(&mut out).unwrap();
            assert_eq!(out[..len], *params.to_string().as_bytes());
            assert_eq!(params.write(&mut out[..len - 1]), Err(NoRoom { needed: len }));
        }
        let offer = DeflateOffer::default();
        let len = offer.write(&mut out).unwrap();
        assert_eq!(out[..len], *offer.to_string().as_bytes());
        assert_eq!(offer.write(&mut out[..len - 1]), Err(NoRoom { needed: len }));
    }

    #[test]
    fn s7692_5_the_first_acceptable_offer_wins() {
        let offers = "permessage-deflate; unknown, permessage-deflate; server_max_window_bits, x, \
                      permessage-deflate; client_max_window_bits=11, permessage-deflate";
        let params = negotiate(offers, &DeflateConfig::new()).unwrap();
        assert_eq!(params.to_string(), "permessage-deflate; client_max_window_bits=11");
        assert_eq!(negotiate("Permessage-Deflate", &DeflateConfig::new()), None);
    }

    #[test]
    fn s7692_7_1_the_server_gets_what_it_wants_where_it_may() {
        let config = DeflateConfig {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            server_max_window_bits: 9,
            client_max_window_bits: 0,
        };
        let all = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                   server_max_window_bits=9; client_max_window_bits=8";
        let browser = negotiate("permessage-deflate; client_max_window_bits", &config).unwrap();
        assert_eq!(browser.to_string(), all);
        assert_eq!((browser.server_window_bits(), browser.client_window_bits()), (9, 8));
        assert!(DeflateOffer::default().permits(&browser));
        let plain = negotiate("permessage-deflate", &config).unwrap();
        assert_eq!((plain.client_max_window_bits, plain.client_window_bits()), (None, 15));
        let less = negotiate("permessage-deflate; server_max_window_bits=8", &config).unwrap();
        assert_eq!(less.server_max_window_bits, Some(8));
        assert!(all.len() <= DeflateParams::MAX_LEN);
    }

    #[test]
    fn every_answer_is_permitted_by_its_offer_and_survives_the_wire() {
        let windows = [ClientWindow::Unsupported, ClientWindow::Supported, ClientWindow::AtMost(11)];
        for bits in 0..256_u32 {
            let bit = |n: u32| bits >> n & 1 == 1;
            let window = |n: u32| if bit(n) { 15 } else { 10 };
            for client_max_window_bits in windows {
                let offer = DeflateOffer {
                    server_no_context_takeover: bit(0),
                    client_no_context_takeover: bit(1),
                    server_max_window_bits: bit(2).then(|| window(3)),
                    client_max_window_bits,
                };
                let config = DeflateConfig {
                    server_no_context_takeover: bit(4),
                    client_no_context_takeover: bit(5),
                    server_max_window_bits: window(6),
                    client_max_window_bits: window(7),
                };
                let (offer_text, params) = (offer.to_string(), offer.accept(&config));
                assert!(offer.permits(&params));
                assert_eq!(negotiate(&offer_text, &config), Some(params));
                let answer = params.to_string();
                assert_eq!(check_response([offer_text.as_bytes()], [answer.as_bytes()]), Ok(Some(params)));
            }
        }
    }
}
