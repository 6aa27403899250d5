//! Certificates and configurations, made for each test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hybi::adapters::handshake_driver::Client;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, crypto::ring,
    server::WebPkiClientVerifier,
};

/// The number of authorities that were made. The name of each authority contains a different number.
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate chain and its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The first certificate of the chain, and the key, in the form of a PEM file.
    pem: [String; 2],
}

/// A TLS library with a configuration for a client.
#[derive(Clone, Debug)]
pub enum Tls {
    #[cfg(feature = "rustls")]
    Rustls(Arc<ClientConfig>),
    Native(native_tls::TlsConnector),
}

impl Tls {
    /// Returns a client that uses this library.
    pub fn configure<R>(&self, client: Client<R>) -> Client<R> {
        match self {
            #[cfg(feature = "rustls")]
            Self::Rustls(config) => client.tls(Arc::clone(config)),
            Self::Native(connector) => client.native_tls(connector.clone()),
        }
    }
}

impl Tls {
    /// Returns a client that uses this library and this configuration for `https` proxies.
    pub fn configure_proxy<R>(&self, client: Client<R>) -> Client<R> {
        match self {
            #[cfg(feature = "rustls")]
            Self::Rustls(config) => client.proxy_tls(Arc::clone(config)),
            Self::Native(connector) => client.proxy_native_tls(connector.clone()),
        }
    }
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("authority {}", MADE.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Issues a certificate for `host`. `change` can change its parameters.
    pub fn issue_with(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Identity::new(&params.signed_by(&key, &self.issuer).unwrap(), &key)
    }

    /// Returns an authority that this authority has certified.
    pub fn intermediate(&self) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "intermediate");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            pem: certificate.pem(),
            certificate: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    pub fn issue(&self, host: &str) -> Identity {
        self.issue_with(host, |_| {})
    }

    /// Returns the configuration of a client that trusts this authority.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client_with(rustls::DEFAULT_VERSIONS)
    }

    /// Returns the configuration of a client with these versions of TLS.
    pub fn client_with(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        Arc::new(builder.with_root_certificates(self.roots()).with_no_client_auth())
    }

    /// Returns a builder for connectors of native-tls that trust this authority alone.
    pub fn connector_builder(&self) -> native_tls::TlsConnectorBuilder {
        let mut builder = native_tls::TlsConnector::builder();
        let certificate = native_tls::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        builder.disable_built_in_roots(true).add_root_certificate(certificate);
        builder
    }

    pub fn connector(&self) -> native_tls::TlsConnector {
        self.connector_builder().build().unwrap()
    }

    /// Returns a client configuration for each library. Both trust this authority.
    #[cfg(feature = "rustls")]
    pub fn both(&self) -> [Tls; 2] {
        [Tls::Rustls(self.client()), Tls::Native(self.connector())]
    }

    /// Returns the certificate of this authority in the form of a PEM file.
    pub fn pem(&self) -> String {
        self.pem.clone()
    }

    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        roots
    }
}

impl Identity {
    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        let pem = [certificate.pem(), key.serialize_pem()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Self { chain: vec![certificate.der().clone()], key, pem }
    }

    /// Returns this identity as one of native-tls.
    pub fn native(&self) -> native_tls::Identity {
        let [certificate, key] = &self.pem;
        native_tls::Identity::from_pkcs8(certificate.as_bytes(), key.as_bytes()).unwrap()
    }

    pub fn acceptor(&self) -> native_tls::TlsAcceptor {
        native_tls::TlsAcceptor::new(self.native()).unwrap()
    }

    /// Returns a self-signed certificate for `host`. With `is_authority` it claims to be an authority.
    pub fn self_signed(host: &str, is_authority: bool) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        if is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        Self::new(&params.self_signed(&key).unwrap(), &key)
    }

    /// Returns the certificate.
    pub fn der(&self) -> Vec<u8> {
        self.chain[0].to_vec()
    }

    /// Returns the certificate and the key in the form of PEM files.
    pub fn pem(&self) -> [String; 2] {
        self.pem.clone()
    }

    /// Returns the configuration of a server with this certificate.
    pub fn server(self) -> Arc<ServerConfig> {
        self.server_with(rustls::DEFAULT_VERSIONS)
    }

    /// Returns the configuration of a server with these versions of TLS.
    pub fn server_with(self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap().with_no_client_auth();
        Arc::new(builder.with_single_cert(self.chain, self.key).unwrap())
    }

    /// Returns the configuration of a server that requires client certificates which `authority` has issued.
    pub fn server_for_clients_of(self, authority: &Authority) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(authority.roots());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_client_cert_verifier(verifier.build().unwrap());
        Arc::new(builder.with_single_cert(self.chain, self.key).unwrap())
    }

    /// Returns the configuration of a client that has this certificate and trusts `authority`.
    pub fn client_of(self, authority: &Authority) -> Arc<ClientConfig> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(authority.roots());
        Arc::new(builder.with_client_auth_cert(self.chain, self.key).unwrap())
    }
}

/// Returns the configurations of a client, and of a server that the client trusts, for the host `localhost`.
#[cfg(feature = "rustls")]
pub fn localhost() -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let authority = Authority::new();
    (authority.client(), authority.issue("localhost").server())
}

/// Changes a certificate so that it is not valid yet.
pub fn not_yet_valid(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(3001, 1, 1), date_time_ymd(3002, 1, 1));
}

/// Changes a certificate so that it has expired.
pub fn expired(params: &mut CertificateParams) {
    (params.not_before, params.not_after) = (date_time_ymd(2001, 1, 1), date_time_ymd(2002, 1, 1));
}

/// Changes a certificate so that only clients may use it.
pub fn for_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

/// For each library, returns a client and the configuration of a server that the client trusts. The host is
/// `localhost`.
#[cfg(feature = "rustls")]
pub fn both_on_localhost() -> [(Tls, Arc<ServerConfig>); 2] {
    let authority = Authority::new();
    authority.both().map(|tls| (tls, authority.issue("localhost").server()))
}
