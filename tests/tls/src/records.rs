//! The records that leave a client: messages that are written together share a record.

use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hybi::adapters::net::{Client, Server, Stream};
use hybi::tls::{Session, TlsError};

use crate::identity::{Authority, both_on_localhost};

/// A socket that keeps a copy of the bytes that are written.
struct Recorder {
    socket: TcpStream,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Read for Recorder {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.socket.read(to)
    }
}

impl Write for Recorder {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        let n = self.socket.write(from)?;
        self.written.lock().unwrap().extend_from_slice(&from[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

impl Stream for Recorder {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.socket.set_read_timeout(timeout).map(|()| true)
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        self.socket.set_write_timeout(timeout).map(|()| true)
    }

    fn keeps_refused_bytes(&self) -> bool {
        false
    }
}

/// Returns the lengths of the records in `bytes`, without their headers.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(len);
        bytes = &rest[len..];
    }
    lengths
}

#[test]
fn messages_that_are_written_together_share_a_record() {
    for (client, server) in both_on_localhost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = thread::spawn(move || {
            let mut ws = Server::new().accept_tls(server, listener.accept().unwrap().0).unwrap();
            let mut received = 0;
            while ws.recv().is_ok_and(|message| message.is_some()) {
                received += 1;
            }
            received
        });
        let written = Arc::new(Mutex::new(Vec::new()));
        let stream = Recorder { socket: TcpStream::connect(address).unwrap(), written: Arc::clone(&written) };
        let mut ws = client.configure(Client::new()).open_tls(stream, "wss://localhost/").unwrap();
        let mut sent = |count: usize, len: usize| {
            written.lock().unwrap().clear();
            for _ in 0..count {
                ws.feed(vec![0; len]).unwrap();
            }
            ws.flush().unwrap();
            records(&written.lock().unwrap())
        };
        // A frame of a client has a header of 6 bytes, or of 8 bytes if the payload has at least 126 bytes. A record
        // adds 17 bytes.
        assert_eq!(sent(1, 10), [33]);
        assert_eq!(sent(100, 10), [1617]);
        assert_eq!(sent(4, 4000), [4 * 4008 + 17]);
        assert_eq!(sent(1, 40_000), [(16 << 10) + 17, (16 << 10) + 17, 40_008 - (32 << 10) + 17]);
        drop(ws);
        assert_eq!(serving.join().unwrap(), 106);
    }
}

/// Removes all ciphertext from a session.
fn ciphertext(from: &mut Session) -> Vec<u8> {
    let mut network = Vec::new();
    while from.has_ciphertext() {
        let write = |slices: &[IoSlice<'_>]| {
            network.extend_from_slice(&slices[0]);
            Ok(slices[0].len())
        };
        from.poll_ciphertext(write).unwrap();
    }
    network
}

/// Moves ciphertext from one session to the other in pieces.
pub fn transfer(from: &mut Session, to: &mut Session, piece: usize) {
    ciphertext(from).chunks(piece).for_each(|piece| to.handle_ciphertext(piece));
}

/// Returns the sessions of a client and a server, in all four combinations of the libraries.
pub fn sessions() -> [(Session, Session); 4] {
    let authority = Authority::new();
    let [config, acceptor] = [authority.issue("localhost"), authority.issue("localhost")];
    let (config, acceptor) = (config.server(), acceptor.acceptor());
    [(true, true), (true, false), (false, true), (false, false)].map(|(client, server)| {
        let client = if client {
            Session::client(authority.client(), "localhost")
        } else {
            Session::native_client(&authority.connector(), "localhost")
        };
        let server =
            if server { Session::server(Arc::clone(&config)) } else { Session::native_server(&acceptor) };
        (client.unwrap(), server.unwrap())
    })
}

/// Runs the handshake of two sessions. Moves ciphertext in pieces.
pub fn open(client: &mut Session, server: &mut Session, piece: usize) {
    while client.is_handshaking() || server.is_handshaking() {
        transfer(client, server, piece);
        transfer(server, client, piece);
    }
}

#[test]
fn the_split_of_the_ciphertext_does_not_matter() {
    let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    for piece in [1, 5, 100, 4096, 16_384, 100_000, usize::MAX] {
        for (mut client, mut server) in sessions() {
            open(&mut client, &mut server, piece);
            let (mut sent, mut received, mut to) = (0, Vec::new(), [0; 1000]);
            while sent < bytes.len() {
                sent += client.encrypt(&[IoSlice::new(&bytes[sent..])]).unwrap();
                transfer(&mut client, &mut server, piece);
                // Several writes arrive before the plaintext is read.
                if sent % (128 << 10) == 0 || sent == bytes.len() {
                    while let Some(n) = server.poll_plaintext(&mut to).unwrap() {
                        received.extend_from_slice(&to[..n]);
                    }
                }
            }
            assert_eq!(received, bytes);
            client.close();
            transfer(&mut client, &mut server, piece);
            server.handle_eof();
            assert_eq!(server.poll_plaintext(&mut to), Ok(Some(0)));
        }
    }
}

#[test]
fn plaintext_that_nobody_has_read_is_returned_before_the_end_of_the_stream() {
    for closes in [true, false] {
        for (mut client, mut server) in sessions() {
            open(&mut client, &mut server, usize::MAX);
            for n in 0..10 {
                assert_eq!(client.encrypt(&[IoSlice::new(&[n; 60_000])]), Ok(60_000));
                transfer(&mut client, &mut server, usize::MAX);
            }
            if closes {
                client.close();
                transfer(&mut client, &mut server, usize::MAX);
            }
            server.handle_eof();
            let (mut received, mut to) = (0, [0; 10_000]);
            let end = loop {
                match server.poll_plaintext(&mut to) {
                    Ok(Some(n @ 1..)) => received += n,
                    end => break end,
                }
            };
            assert_eq!(received, 600_000);
            assert_eq!(end, if closes { Ok(Some(0)) } else { Err(TlsError::Truncated) });
        }
    }
}

/// Passes `ciphertext` to `session` with [`Session::read_ciphertext`], or with [`Session::handle_ciphertext`] if the
/// former returns `None`. A read takes at most `piece` bytes. Returns the plaintext, and the number of reads.
fn receive(session: &mut Session, mut ciphertext: &[u8], piece: usize) -> (Vec<u8>, usize) {
    let (mut received, mut reads, mut to) = (Vec::new(), 0, [0; 1000]);
    loop {
        let read = session.read_ciphertext(|to| {
            let most = to.len().min(piece);
            ciphertext.read(&mut to[..most])
        });
        match read.unwrap() {
            Some(_) => reads += 1,
            None => {
                let (now, later) = ciphertext.split_at(piece.min(ciphertext.len()));
                session.handle_ciphertext(now);
                ciphertext = later;
            }
        }
        while let Some(n @ 1..) = session.poll_plaintext(&mut to).unwrap() {
            received.extend_from_slice(&to[..n]);
        }
        if ciphertext.is_empty() {
            return (received, reads);
        }
    }
}

#[test]
fn a_session_of_rustls_reads_ciphertext_into_its_own_memory() {
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
    for piece in [1, 5, 4096, 4097, 16_384, 100_000] {
        for (mut client, mut server) in sessions() {
            open(&mut client, &mut server, usize::MAX);
            let mut network = Vec::new();
            let mut sent = 0;
            while sent < bytes.len() {
                sent += client.encrypt(&[IoSlice::new(&bytes[sent..])]).unwrap();
                network.extend_from_slice(&ciphertext(&mut client));
            }
            client.close();
            network.extend_from_slice(&ciphertext(&mut client));
            let (received, reads) = receive(&mut server, &network, piece);
            assert_eq!(received, bytes);
            assert_eq!(reads > 10, server.rustls().is_some(), "{reads} reads");
            // The peer has closed, so nothing is read any more.
            assert_eq!(server.read_ciphertext(|_| panic!("called")).unwrap(), None);
            assert_eq!(server.poll_plaintext(&mut [0; 10]), Ok(Some(0)));
        }
    }
}

#[test]
fn a_read_into_the_memory_of_a_session_can_fail_or_end() {
    for (mut client, mut server) in sessions().into_iter().filter(|(_, server)| server.rustls().is_some()) {
        open(&mut client, &mut server, usize::MAX);
        assert_eq!(client.encrypt(&[IoSlice::new(b"hello")]), Ok(5));
        let mut network = &ciphertext(&mut client)[..];
        let error = server.read_ciphertext(|_| Err(io::ErrorKind::WouldBlock.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let error = server.read_ciphertext(|to| Ok(to.len() + 1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(server.read_ciphertext(|to| network.read(to)).unwrap(), Some(5 + 5 + 17));
        // The plaintext must be read before more ciphertext is read.
        assert_eq!(server.read_ciphertext(|_| panic!("called")).unwrap(), None);
        assert_eq!(server.poll_plaintext(&mut [0; 10]), Ok(Some(5)));
        assert_eq!(server.read_ciphertext(|_| Ok(0)).unwrap(), Some(0));
        assert_eq!(server.poll_plaintext(&mut [0; 10]), Err(TlsError::Truncated));
        assert_eq!(server.read_ciphertext(|_| panic!("called")).unwrap(), None);
    }
}

#[test]
fn a_session_accepts_at_most_64_kib_until_its_ciphertext_is_removed() {
    for (mut client, mut server) in sessions() {
        let error = client.encrypt(&[IoSlice::new(b"early")]).unwrap_err();
        assert!(matches!(&error, TlsError::Failed(_)), "{error:?}");
        assert!(error.to_string().to_lowercase().contains("handshake"), "{error}");
        open(&mut client, &mut server, usize::MAX);
        transfer(&mut client, &mut server, usize::MAX);
        let slices = [IoSlice::new(&[1; 40_000]), IoSlice::new(&[2; 40_000])];
        let first = client.encrypt(&slices).unwrap();
        assert!((60 << 10..=64 << 10).contains(&first), "{first}");
        assert!(client.encrypt(&slices).unwrap() < 4096);
        transfer(&mut client, &mut server, usize::MAX);
        assert_eq!(client.encrypt(&slices[..1]), Ok(40_000));
        // After `close_notify` of the peer, the client can still send.
        server.close();
        transfer(&mut server, &mut client, usize::MAX);
        assert_eq!(client.poll_plaintext(&mut [0; 10]), Ok(Some(0)));
        assert_eq!(client.encrypt(&[IoSlice::new(b"late")]), Ok(4));
    }
}
