//! The parameters of permessage-deflate and their negotiation (RFC 7692 sections 5 and 7.1), for both roles.
//!
//! This file parses, checks, chooses and writes parameters. The code in `deflate/` compresses messages. This file is
//! also built without the feature `deflate`, so that an endpoint without compression can parse and decline an offer.
//!
//! | role | sends | receives |
//! | --- | --- | --- |
//! | client | [`DeflateOffer`] | [`DeflateParams`], checked by [`check_response`] |
//! | server | [`DeflateParams`] | [`DeflateOffer`], answered by [`negotiate_offer`] with a [`DeflateConfig`] |
//!
//! Invariant: for every offer and configuration, `DeflateOffer::permits` allows the parameters that
//! `DeflateOffer::accept` returns.

use core::fmt;

use super::deflate_config::DeflateConfig;
use super::extensions::{Extension, Extensions, Malformed, Value, for_each_part};
use super::setters::setters;
use super::write::{HeadWriter, NoSpace};

/// The registered name of the extension. Names are case-sensitive.
pub(crate) const PERMESSAGE_DEFLATE: &str = "permessage-deflate";

/// The parameters of permessage-deflate that both endpoints agreed on. The server's response contains them (RFC
/// 7692 section 7.1).
///
/// The [`Display`](fmt::Display) form is the value of the `Sec-WebSocket-Extensions` header.
///
/// ```
/// use hybi::handshake::DeflateParams;
///
/// let params = DeflateParams { server_max_window_bits: Some(10), ..DeflateParams::default() };
/// let mut out = [0; DeflateParams::MAX_LEN];
/// let len = params.write(&mut out)?;
/// assert_eq!(&out[..len], b"permessage-deflate; server_max_window_bits=10");
/// assert_eq!((params.server_window_bits(), params.client_window_bits()), (10, 15));
/// # Ok::<(), hybi::handshake::NoSpace>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeflateParams {
    /// The server starts each message with an empty window (RFC 7692 section 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// The client starts each message with an empty window (RFC 7692 section 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// The base-2 logarithm of the server's window size, 8 to 15. `None` means 15 (RFC 7692 section 7.1.2.1).
    pub server_max_window_bits: Option<u8>,
    /// The base-2 logarithm of the client's window size, 8 to 15. `None` means 15 (RFC 7692 section 7.1.2.2).
    pub client_max_window_bits: Option<u8>,
}

impl DeflateParams {
    /// The maximum length in bytes of the text of [`DeflateParams`] or of a [`DeflateOffer`], for any values of the
    /// fields.
    pub const MAX_LEN: usize = 130;

    /// Returns the base-2 logarithm of the window size that the server compresses with.
    #[must_use]
    pub fn server_window_bits(&self) -> u8 {
        self.server_max_window_bits.unwrap_or(15)
    }

    /// Returns the base-2 logarithm of the window size that the client compresses with.
    #[must_use]
    pub fn client_window_bits(&self) -> u8 {
        self.client_max_window_bits.unwrap_or(15)
    }

    /// Writes the value of the header into `out` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if `out` is too small. [`DeflateParams::MAX_LEN`] bytes are always enough.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        HeadWriter::new(out).display(self).finish()
    }

    /// Parses the parameters of a response. Returns `None` if a parameter is unknown, repeated or invalid (RFC
    /// 7692 section 7).
    pub(crate) fn from_response(response: &Extension<'_>) -> Option<Self> {
        let offer = DeflateOffer::from_extension(response)?;
        Some(Self {
            server_no_context_takeover: offer.server_no_context_takeover,
            client_no_context_takeover: offer.client_no_context_takeover,
            server_max_window_bits: offer.server_max_window_bits,
            client_max_window_bits: match offer.client_max_window_bits {
                ClientWindow::Unsupported => None,
                // RFC 7692 7.1.2.2: in a response this parameter MUST have a value.
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

/// The part of an offer that concerns the client's own window (RFC 7692 section 7.1.2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientWindow {
    /// `client_max_window_bits` is absent: the server must not limit the client's window.
    Unsupported,
    /// `client_max_window_bits` has no value: the server may limit the client's window. Browsers send this form.
    #[default]
    Supported,
    /// `client_max_window_bits` has this value, 8 to 15. The client uses at most this number of bits, and the server
    /// may ask for fewer.
    AtMost(u8),
}

/// The parameters of permessage-deflate that a client offers (RFC 7692 section 7.1).
///
/// ```
/// use hybi::handshake::DeflateOffer;
///
/// let mut out = [0; 130];
/// let len = DeflateOffer::default().write(&mut out)?;
/// assert_eq!(&out[..len], b"permessage-deflate; client_max_window_bits");
/// # Ok::<(), hybi::handshake::NoSpace>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DeflateOffer {
    /// Asks the server to start each message with an empty window (RFC 7692 section 7.1.1.1).
    pub server_no_context_takeover: bool,
    /// Announces that the client starts each message with an empty window (RFC 7692 section 7.1.1.2).
    pub client_no_context_takeover: bool,
    /// Asks the server for a window of at most this many bits, 8 to 15 (RFC 7692 section 7.1.2.1).
    pub server_max_window_bits: Option<u8>,
    /// Tells the server whether it may limit the client's window (RFC 7692 section 7.1.2.2).
    pub client_max_window_bits: ClientWindow,
}

impl DeflateOffer {
    /// Returns the offer that browsers send: the server may limit the client's window.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            server_no_context_takeover: false,
            client_no_context_takeover: false,
            server_max_window_bits: None,
            client_max_window_bits: ClientWindow::Supported,
        }
    }

    setters! {
        "Returns this offer",
        server_no_context_takeover: bool,
        client_no_context_takeover: bool,
        server_max_window_bits: Option<u8>,
        client_max_window_bits: ClientWindow
    }

    /// Writes the value of the header into `out` and returns its length in bytes.
    ///
    /// # Errors
    ///
    /// [`NoSpace`] if `out` is too small. [`DeflateParams::MAX_LEN`] bytes are always enough.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, NoSpace> {
        HeadWriter::new(out).display(self).finish()
    }

    /// Parses an offer. Returns `None` if `extension` has another name, or if a parameter is unknown,
    /// repeated or has an invalid value (RFC 7692 section 7).
    #[must_use]
    pub fn from_extension(extension: &Extension<'_>) -> Option<Self> {
        if extension.name != PERMESSAGE_DEFLATE {
            return None;
        }
        let mut offer = Self { client_max_window_bits: ClientWindow::Unsupported, ..Self::default() };
        for (name, value) in extension.params() {
            match (name, value) {
                // RFC 7692 7.1.1: the first two parameters have no value. RFC 7692 7.1: the guards refuse repeated
                // parameters.
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

    /// Returns the answer of a server with `config` to this offer.
    ///
    /// The server's window is the smaller of the windows in the offer and in the configuration. The answer confirms the
    /// limits that the client announces for itself, so that both endpoints can save memory. The answer limits the
    /// client's window only if the offer allows a limit (RFC 7692 section 7.1.2.2).
    #[must_use]
    pub fn accept(&self, config: &DeflateConfig) -> DeflateParams {
        let server = config.server_max_window_bits.clamp(8, 15);
        let client = config.client_max_window_bits.clamp(8, 15);
        let below_15 = |bits| if bits < 15 { Some(bits) } else { None };
        DeflateParams {
            // RFC 7692 7.1.1.1: the server MUST confirm this parameter, and may send it although the offer does not
            // contain it.
            server_no_context_takeover: self.server_no_context_takeover || config.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || config.client_no_context_takeover,
            // RFC 7692 7.1.2.1: the answer has the same value as the offer, or a smaller value.
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

    /// Returns whether a response with these parameters agrees with this offer (RFC 7692 section 7.1).
    #[must_use]
    pub fn permits(&self, response: &DeflateParams) -> bool {
        // RFC 7692 7.1.1.1: if the offer asks for this parameter, the response contains it.
        let takeover = response.server_no_context_takeover || !self.server_no_context_takeover;
        // RFC 7692 7.1.2.1: if the offer limits the server's window, the response has the same or a smaller value.
        let server = match (self.server_max_window_bits, response.server_max_window_bits) {
            (Some(asked), Some(answered)) => answered <= asked,
            (Some(_), None) => false,
            (None, _) => true,
        };
        // RFC 7692 7.1.2.2: the response limits the client's window only if the offer allows a limit. The value is
        // not larger than the value in the offer.
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

/// The reason why the extensions in a server's response are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The value of the header does not match the grammar (RFC 6455 section 9.1).
    Malformed,
    /// The response has an extension that was not offered (RFC 6455 section 4.1 (5)).
    NotOffered,
    /// The response has permessage-deflate twice, so that two extensions would use RSV1 (RFC 7692 section 5).
    Repeated,
    /// A parameter of permessage-deflate is unknown, repeated or invalid (RFC 7692 section 7).
    Parameter,
    /// The parameters do not agree with the offer (RFC 7692 section 7.1).
    Disagrees,
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => {
                "the response has a malformed Sec-WebSocket-Extensions (RFC 6455 9.1): correct the server"
            }
            Self::NotOffered => {
                "Sec-WebSocket-Extensions names an extension that was not offered (RFC 6455 4.1 (5)): \
                 offer it, or disable it in the server"
            }
            Self::Repeated => {
                "Sec-WebSocket-Extensions names permessage-deflate twice (RFC 7692 5): correct the server"
            }
            Self::Parameter => {
                "Sec-WebSocket-Extensions has an unknown, repeated or invalid parameter of \
                 permessage-deflate (RFC 7692 7): correct the server"
            }
            Self::Disagrees => {
                "Sec-WebSocket-Extensions does not agree with the offer (RFC 7692 7.1): \
                 correct the server, or offer less"
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

/// Returns a server's answer to the first acceptable offer of permessage-deflate. Returns `None` if there is no
/// acceptable offer; the connection then has no compression.
///
/// `values` are the values of the request's `Sec-WebSocket-Extensions` headers.
///
/// # Errors
///
/// [`Malformed`] if a value does not match the grammar, or if there are values and none of them contains an extension.
/// In these cases the request must be rejected (RFC 6455 section 9.1).
pub fn negotiate_offer<'h>(
    values: impl IntoIterator<Item = &'h [u8]>,
    config: &DeflateConfig,
) -> Result<Option<DeflateParams>, Malformed> {
    let mut chosen = None;
    for_each_part(values, |offers| {
        chosen = chosen.or_else(|| choose_offer(offers, config));
        Ok::<_, Malformed>(())
    })?;
    Ok(chosen)
}

/// Answers the first acceptable offer (RFC 7692 section 5).
///
/// An offer with a parameter that is unknown, repeated or invalid is declined, and the next offer is examined (RFC 7692
/// section 7).
pub(crate) fn choose_offer(offers: Extensions<'_>, config: &DeflateConfig) -> Option<DeflateParams> {
    offers.iter().find_map(|offer| DeflateOffer::from_extension(&offer)).map(|offer| offer.accept(config))
}

/// Checks a server's extensions against the client's offer. Returns the parameters of permessage-deflate, or `None` if
/// it is not in use.
///
/// `offer` and `response` are the values of the `Sec-WebSocket-Extensions` headers of the request and of the
/// response.
///
/// # Errors
///
/// The client must fail the connection after an error (RFC 6455 section 4.1 (5), RFC 7692 section 7).
///
/// - [`ExtensionError::Malformed`]: a value of the response does not match the grammar, or there are values and none of
///   them contains an extension.
/// - [`ExtensionError::NotOffered`]: an extension was not offered.
/// - [`ExtensionError::Repeated`]: permessage-deflate appears twice.
/// - [`ExtensionError::Parameter`]: a parameter is unknown, repeated or invalid.
/// - [`ExtensionError::Disagrees`]: the parameters do not agree with the offer.
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
    for_each_part(response, |extensions| check_chosen(extensions, offered, &mut agreed))?;
    Ok(agreed)
}

/// Checks the extensions of a response, and stores the parameters of permessage-deflate in `agreed`.
pub(crate) fn check_chosen<'o, I>(
    response: Extensions<'_>,
    offered: impl Fn() -> I,
    agreed: &mut Option<DeflateParams>,
) -> Result<(), ExtensionError>
where
    I: Iterator<Item = Extension<'o>>,
{
    for extension in response {
        if !offered().any(|offer| offer.name == extension.name) {
            // RFC 6455 4.1 (5): an extension that the client did not offer fails the connection.
            return Err(ExtensionError::NotOffered);
        }
        if extension.name != PERMESSAGE_DEFLATE {
            continue;
        }
        if agreed.is_some() {
            // RFC 7692 5: permessage-deflate appears once.
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

/// Parses window bits: a decimal from 8 to 15 without leading zeros (RFC 7692 section 7.1.2).
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
    fn s7692_7_1_an_offer_with_a_repeated_parameter_is_declined() {
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
    fn s7692_7_1_a_response_must_agree_with_its_offer() {
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
    fn s7692_7_1_write_and_display_give_the_same_text() {
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
            assert_eq!(params.write(&mut out[..len - 1]), Err(NoSpace { needed: len }));
        }
        let offer = DeflateOffer::default();
        let len = offer.write(&mut out).unwrap();
        assert_eq!(out[..len], *offer.to_string().as_bytes());
        assert_eq!(offer.write(&mut out[..len - 1]), Err(NoSpace { needed: len }));
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
    fn s7692_7_1_the_configuration_applies_as_far_as_the_offer_allows() {
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
    fn s7692_7_1_every_answer_is_permitted_by_its_offer_and_is_parsed_again() {
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
