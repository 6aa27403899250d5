//! One end of a tunnel for TCP connections through WebSockets: `tunnel ADDR TARGET`.
//!
//! If the target is a URL, the program accepts TCP connections, and forwards each through a WebSocket of its own to the
//! URL. Otherwise it accepts WebSockets, and forwards each to the TCP service at the target. Run one program at each
//! end:
//!
//! ```text
//! tunnel 127.0.0.1:9001 127.0.0.1:22             on the host of the SSH server
//! tunnel 127.0.0.1:2222 ws://127.0.0.1:9001/     on the host of the SSH client, which then connects to port 2222
//! ```
//!
//! If one of the two connections breaks off, the endpoint of the other one must learn that data may be missing. So the
//! program then resets TCP, and closes the WebSocket with a code that means failure.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use hybi::adapters::tokio::{ByteStream, Client, Server};
use hybi::{CloseCode, Config};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const USAGE: &str = "\
usage: tunnel ADDR TARGET

  ADDR    the address to listen on; port 0 selects a free port
  TARGET  a URL (ws:// or wss://) to forward TCP connections to, or HOST:PORT to forward WebSockets to";

/// How long the TCP service may send after the peer has closed the WebSocket. These bytes are dropped.
const LAST_BYTES: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, target] = &arguments[..] else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    match run(address, target.clone().into()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(address: &str, target: Arc<str>) -> Result<(), Box<dyn Error>> {
    let listener =
        TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        // The server continues if a connection breaks off at once, or if the system has no more file descriptors.
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let target = Arc::clone(&target);
        tokio::spawn(async move {
            match serve(stream, peer, &target).await {
                Ok(Some((to_target, from_target))) => {
                    println!("{peer}: {to_target} bytes to {target}, {from_target} back")
                }
                Ok(None) => println!("{peer}: closed before all bytes of the other side were forwarded"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

/// The number of bytes that were forwarded in each direction. `None` if the peer closed the WebSocket before all bytes
/// of TCP were forwarded.
type Forwarded = Option<(u64, u64)>;

/// Serves one connection. Returns how many bytes were forwarded to the target, and back.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    target: &str,
) -> Result<Forwarded, Box<dyn Error>> {
    stream.set_nodelay(true)?;
    // A byte stream does not collect messages, so a long message needs no memory.
    let config = Config::new().max_message(u64::MAX).max_frame(u64::MAX);
    if target.contains("://") {
        let ws = Client::new().config(config).connect(target).await?;
        println!("{peer}: connected to {target}");
        let forwarded = forward(ws.into_byte_stream(), stream).await?;
        return Ok(forwarded.map(|(back, forth)| (forth, back)));
    }
    let mut ws = Server::new().config(config).accept(stream).await?;
    match TcpStream::connect(target).await {
        Ok(tcp) => {
            tcp.set_nodelay(true)?;
            println!("{peer}: connected to {target}");
            Ok(forward(ws.into_byte_stream(), tcp).await?)
        }
        Err(error) => {
            ws.close(CloseCode::BAD_GATEWAY, "the target cannot be reached").await?;
            ws.wait_closed().await?;
            Err(format!("cannot connect to {target}: {error}").into())
        }
    }
}

/// Copies bytes in both directions. Returns how many bytes came from the WebSocket, and from TCP.
async fn forward<S>(bytes: ByteStream<S>, mut tcp: TcpStream) -> io::Result<Forwarded>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut from_peer, mut to_peer) = tokio::io::split(bytes);
    let (mut from_tcp, mut to_tcp) = tcp.split();
    let sending = async {
        let copied = match copy(&mut from_tcp, &mut to_peer).await {
            Ok(copied) => to_peer.shutdown().await.map(|()| Some(copied)),
            Err(error) => Err(error),
        };
        match copied {
            // A WebSocket has no half-close. If the peer has closed, bytes of TCP can no longer be sent. This is no
            // failure. Read and drop these bytes: unread bytes would reset TCP, and data of the peer would be lost.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                copy(&mut from_tcp, &mut sink()).await.map(|_| None)
            }
            copied => copied,
        }
    };
    let receiving = async {
        let copied = copy(&mut from_peer, &mut to_tcp).await?;
        to_tcp.shutdown().await.map(|()| copied)
    };
    let forwarded = both(sending, receiving).await;
    if forwarded.is_err() {
        // With this option, dropping the stream resets the connection.
        #[allow(deprecated, reason = "the new name needs a later version of tokio")]
        tcp.set_linger(Some(Duration::ZERO))?;
        // If the WebSocket has failed or is closing already, nothing more can be sent.
        let mut ws = from_peer.unsplit(to_peer).into_inner();
        let _ = ws.close(CloseCode::INTERNAL_ERROR, "the tunnel broke off").await;
    }
    forwarded
}

/// Waits for both directions. If one of them fails, the other one ends too.
async fn both(
    sending: impl Future<Output = io::Result<Option<u64>>>,
    receiving: impl Future<Output = io::Result<u64>>,
) -> io::Result<Forwarded> {
    let (mut sending, mut receiving) = (pin!(sending), pin!(receiving));
    tokio::select! {
        sent = &mut sending => {
            let sent = sent?;
            Ok(Some(receiving.await?).zip(sent))
        }
        received = &mut receiving => {
            let received = received?;
            // Do not wait forever for a service that does not close after the end of its input.
            match timeout(LAST_BYTES, sending).await {
                Ok(sent) => Ok(Some(received).zip(sent?)),
                Err(_) => Ok(None),
            }
        }
    }
}
