//! Sends lines to a server over TLS, and prints the answers: `tls_client wss://HOST [CA.pem]`.
//!
//! The client trusts the authorities of the feature `webpki-roots`. If a file is given, it trusts the private authority
//! in this file instead. Without the file, the certificate of a private authority is refused, and the error says that
//! the authority is unknown.
//!
//! The client connects through the proxy that the environment names: `https_proxy`, `all_proxy`, `no_proxy` and others.

use std::error::Error;
use std::io::stdin;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use hybi::adapters::tokio::{Client, ClientStream, WebSocket};
use hybi::proxy::Proxy;
use hybi::tls::rustls::pki_types::CertificateDer;
use hybi::tls::rustls::pki_types::pem::PemObject;
use hybi::tls::rustls::{ClientConfig, RootCertStore, crypto::ring};

#[tokio::main]
async fn main() -> ExitCode {
    match talk().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn talk() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: tls_client wss://HOST [CA.pem]")?;
    let mut ws = connect(&url, Proxy::from_env(), arguments.next().as_ref().map(Path::new)).await?;
    for line in stdin().lines() {
        ws.send_text(&line?).await?;
        println!("{:?}", ws.recv().await?);
    }
    ws.close(hybi::CloseCode::NORMAL, "").await?;
    println!("{}", ws.wait_closed().await?);
    Ok(())
}

/// Connects to `url`, through `proxy` if the setting requires it. Trusts only the authority whose certificate is in the
/// file `authority`. Without a file, trusts the authorities of the default configuration.
///
/// # Errors
///
/// The file has no certificate, or no WebSocket was opened.
pub async fn connect(
    url: &str,
    proxy: Proxy,
    authority: Option<&Path>,
) -> Result<WebSocket<ClientStream>, Box<dyn Error>> {
    let mut client = Client::new().proxy(proxy);
    if let Some(authority) = authority {
        client = client.tls(config_trusting(authority)?);
    }
    Ok(client.connect(url).await?)
}

/// Returns a configuration that trusts only the authority whose certificate is in a file.
fn config_trusting(authority: &Path) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
