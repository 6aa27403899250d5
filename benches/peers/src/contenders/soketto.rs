use crate::*;
use ::soketto::connection::{Builder, Receiver, Sender};
use ::soketto::{Data, handshake};
use futures_util::io::{BufReader, BufWriter};

pub struct Soketto;

type Sock<'a> = BufReader<BufWriter<&'a mut Io>>;
// The transport is buffered as in the examples of the library, with larger buffers.
fn ws<'a>(role: Role, io: &'a mut Io) -> (Sender<Sock<'a>>, Receiver<Sock<'a>>) {
    let mode = if role == Role::Server { ::soketto::Mode::Server } else { ::soketto::Mode::Client };
    let sock = BufReader::with_capacity(65536, BufWriter::with_capacity(65536, io));
    Builder::new(sock, mode).finish()
}

impl Contender for Soketto {
    fn name(&self) -> &'static str {
        "soketto"
    }
    fn info(&self) -> Info {
        Info { utf8: "harness", recv: "copied into the caller's Vec", ..Info::default() }
    }
    fn recv(&self, role: Role, mut io: Io, n: u64, sink: &mut Sink) -> bool {
        let (_tx, mut rx) = ws(role, &mut io);
        let mut msg = Vec::new();
        block_on(async {
            while sink.msgs < n {
                msg.clear();
                let kind = match rx.receive_data(&mut msg).await.unwrap() {
                    Data::Text(_) => Kind::Text,
                    Data::Binary(_) => Kind::Binary,
                };
                super::validate(kind, &msg);
                sink.message(kind, &msg);
            }
        });
        true
    }
    fn send(&self, role: Role, kind: Kind, p: &[Bytes], n: u64, batch: u64, mut io: Io) -> Option<Io> {
        {
            let (mut tx, _rx) = ws(role, &mut io);
            block_on(async {
                for i in 0..n {
                    let b = &p[i as usize % p.len()];
                    match kind {
                        Kind::Binary => tx.send_binary(b).await.unwrap(),
                        Kind::Text => {
                            tx.send_text(unsafe { std::str::from_utf8_unchecked(b) }).await.unwrap()
                        }
                    }
                    if (i + 1) % batch == 0 {
                        tx.flush().await.unwrap();
                    }
                }
                tx.flush().await.unwrap();
            });
        }
        Some(io)
    }
    fn handshake(&self, io: Io) -> Option<Io> {
        let mut s = handshake::Server::new(io);
        block_on(async {
            let key = s.receive_request().await.ok()?.key();
            s.send_response(&handshake::server::Response::Accept { key, protocol: None }).await.ok()
        })?;
        Some(s.into_inner())
    }
}
