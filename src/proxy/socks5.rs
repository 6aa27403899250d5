//! SOCKS5 (RFC 1928) with user and password (RFC 1929): the messages of the client, and the state machine that reads
//! the answers.
//!
//! ```text
//!  greeting ─▶ Method ─┬─ no authentication ──────────▶ request ─▶ Reply ─▶ open
//!                      └─ user and password ─▶ Login ─▶ request ─▶ Reply ─▶ open
//! ```
//!
//! The client sends the greeting, perhaps user and password, and the request. Each message is followed by the state
//! that awaits the answer: `Method`, `Login` or `Reply`. An answer is examined byte by byte, so an error is reported at
//! the first wrong byte. Each answer is at most 262 bytes long.
//!
//! Invariant: no byte after the reply is consumed, because it belongs to the tunnel.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::error::{ProxyError, SocksFailure};
use super::target::{ProxyTarget, TargetHost};
use super::url::Credentials;

/// The version of SOCKS (RFC 1928 section 3).
const VERSION: u8 = 5;
/// The authentication method that needs no authentication (RFC 1928 section 3).
const NO_AUTHENTICATION: u8 = 0;
/// The authentication method with user and password (RFC 1928 section 3).
const USER_AND_PASSWORD: u8 = 2;
/// The answer of a proxy that accepts none of the offered methods (RFC 1928 section 3).
const NONE_ACCEPTABLE: u8 = 0xff;
/// The version of the negotiation with user and password (RFC 1929 section 2).
const LOGIN_VERSION: u8 = 1;
/// The command CONNECT (RFC 1928 section 4).
const CONNECT: u8 = 1;
/// The types of addresses (RFC 1928 section 5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// The state machine that reads the answers of the proxy.
pub(super) struct Socks5 {
    state: State,
    /// The bytes of the current answer.
    answer: Vec<u8>,
    /// User and password in the form in which they are sent; `None` after they were sent.
    login: Option<Vec<u8>>,
    /// The request to connect; empty after it was sent.
    request: Vec<u8>,
}

/// The answer that the client waits for.
#[derive(Clone, Copy)]
enum State {
    Method,
    Login,
    Reply,
}

/// The effect of received bytes.
pub(super) enum Effect {
    /// More bytes are needed.
    Receive,
    /// These bytes must be sent.
    Send(Vec<u8>),
    /// The tunnel is open.
    Open,
}

impl Socks5 {
    /// Returns the state machine, and the greeting, which is its first message.
    pub(super) fn new(
        credentials: Option<&Credentials>,
        target: &ProxyTarget<'_>,
    ) -> Result<(Self, Vec<u8>), ProxyError> {
        let login = credentials.map(login);
        // RFC 1928 3: version, number of methods, methods. With credentials, both methods are offered, because some
        // proxies accept only clients without authentication.
        let greeting = match login {
            None => [VERSION, 1, NO_AUTHENTICATION].to_vec(),
            Some(_) => [VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD].to_vec(),
        };
        let request = request(target)?;
        Ok((Self { state: State::Method, answer: Vec::new(), login, request }, greeting))
    }

    /// Returns whether the answer to user and password is awaited.
    pub(super) const fn awaits_login(&self) -> bool {
        matches!(self.state, State::Login)
    }

    /// Returns whether no byte of the current answer has arrived.
    pub(super) fn is_unanswered(&self) -> bool {
        self.answer.is_empty()
    }

    /// Removes bytes from the front of `input`, until an answer is complete.
    pub(super) fn receive(&mut self, input: &mut &[u8]) -> Result<Effect, ProxyError> {
        while let Some((byte, rest)) = input.split_first() {
            *input = rest;
            self.answer.push(*byte);
            let effect = match self.state {
                State::Method => self.examine_method()?,
                State::Login => self.examine_login_status()?,
                State::Reply => self.examine_reply()?,
            };
            if !matches!(effect, Effect::Receive) {
                self.answer.clear();
                return Ok(effect);
            }
        }
        Ok(Effect::Receive)
    }

    /// Examines the newest byte of the answer to the greeting (RFC 1928 section 3): version, chosen method.
    fn examine_method(&mut self) -> Result<Effect, ProxyError> {
        match self.answer[..] {
            [first] => check_version(first),
            [_, NO_AUTHENTICATION] => Ok(self.send_request()),
            // RFC 1928 3: the client MUST close the connection.
            [_, NONE_ACCEPTABLE] => Err(ProxyError::NoMethod { credentials: self.login.is_some() }),
            [_, method] => match self.login.take() {
                Some(login) if method == USER_AND_PASSWORD => {
                    self.state = State::Login;
                    Ok(Effect::Send(login))
                }
                _ => Err(ProxyError::MethodNotOffered(method)),
            },
            _ => Ok(Effect::Receive),
        }
    }

    /// Examines the newest byte of the answer to user and password (RFC 1929 section 2): version, status.
    fn examine_login_status(&mut self) -> Result<Effect, ProxyError> {
        match self.answer[..] {
            [LOGIN_VERSION] => Ok(Effect::Receive),
            [version] => Err(ProxyError::LoginVersion(version)),
            [_, 0] => Ok(self.send_request()),
            // RFC 1929 2: any other status is a failure, and the connection MUST be closed.
            [_, status] => Err(ProxyError::LoginRefused(status)),
            _ => Ok(Effect::Receive),
        }
    }

    /// Examines the newest byte of the reply (RFC 1928 section 6): version, reply code, reserved, type of address,
    /// address, port.
    fn examine_reply(&self) -> Result<Effect, ProxyError> {
        match self.answer[..] {
            [first] => check_version(first),
            // RFC 1928 6: after a failure the proxy closes the connection. Some proxies do not even send the address,
            // so the rest is not awaited.
            [_, code] => SocksFailure::from_code(code)
                .map_or(Ok(Effect::Receive), |failure| Err(ProxyError::Socks(failure))),
            // RFC 1928 6: reserved fields must be 0.
            [_, _, reserved] if reserved != 0 => Err(ProxyError::Reserved(reserved)),
            [_, _, _, kind] if !matches!(kind, IPV4 | NAME | IPV6) => Err(ProxyError::AddressType(kind)),
            [_, _, _, kind, ref address @ ..] => {
                let len = match (kind, address) {
                    (IPV4, _) => 4,
                    (IPV6, _) => 16,
                    (_, [len, ..]) => 1 + usize::from(*len),
                    _ => return Ok(Effect::Receive),
                };
                // The port has two bytes. The proxy connects from this address and port. The client does not need
                // them.
                Ok(if address.len() >= len + 2 { Effect::Open } else { Effect::Receive })
            }
            _ => Ok(Effect::Receive),
        }
    }

    /// Enters the state that awaits the reply, and returns the request to connect as the message to send.
    fn send_request(&mut self) -> Effect {
        self.state = State::Reply;
        Effect::Send(core::mem::take(&mut self.request))
    }
}

/// Checks the version at the start of an answer.
const fn check_version(first: u8) -> Result<Effect, ProxyError> {
    // RFC 1928 3 and 6: the version is 5.
    if first == VERSION { Ok(Effect::Receive) } else { Err(ProxyError::NotSocks5(first)) }
}

/// Returns the message with user and password (RFC 1929 section 2): version, length, user, length, password.
fn login(credentials: &Credentials) -> Vec<u8> {
    let mut message = Vec::from([LOGIN_VERSION]);
    for part in [&credentials.user, &credentials.password] {
        // `ProxyUrl` has checked that each part has at most 255 bytes.
        message.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        message.extend(part.iter().take(usize::from(u8::MAX)));
    }
    message
}

/// Returns the request to connect (RFC 1928 section 4): version, command, reserved, type of address, address, port.
fn request(target: &ProxyTarget<'_>) -> Result<Vec<u8>, ProxyError> {
    let mut request = Vec::from([VERSION, CONNECT, 0]);
    match target.host {
        TargetHost::Address(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        TargetHost::Address(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        TargetHost::Name(name) => {
            // RFC 1928 5: the length of the name is one byte.
            let len = u8::try_from(name.len()).map_err(|_| ProxyError::NameTooLong)?;
            request.extend([NAME, len]);
            request.extend(name.bytes());
        }
    }
    request.extend(target.port.to_be_bytes());
    Ok(request)
}
