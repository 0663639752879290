//! Certificates: by the name that a client asks for, read again when their files change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use leveret_model::limits::CERTIFICATES_LOOK_EVERY;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::CertificateConfig;
use crate::shared::{Shared, stopped};

/// Certificates at one moment.
#[derive(Debug, Default)]
struct Certificates {
    /// Exact names, and `*.example.org`.
    by_name: BTreeMap<String, Arc<CertifiedKey>>,
    /// For clients that name nobody, or somebody unknown.
    first: Option<Arc<CertifiedKey>>,
}

/// The certificates of a door.
#[derive(Debug)]
pub(crate) struct Keyring {
    files: Vec<CertificateConfig>,
    current: ArcSwap<Certificates>,
    /// Of the files before they were read the first time: what changes later is noticed, however long the
    /// start takes.
    at_start: Stamp,
}

/// What tells a changed file.
type Stamp = Vec<Option<(SystemTime, u64)>>;

impl Keyring {
    /// Reads all files.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub(crate) fn open(files: Vec<CertificateConfig>) -> Result<Arc<Self>, String> {
        let at_start = stamp(&files);
        let certificates = load(&files)?;
        Ok(Arc::new(Self { files, current: ArcSwap::from_pointee(certificates), at_start }))
    }

    /// What a TLS listener needs.
    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, String> {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(self) as _;
        let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Reads the files again when they change. Connections that there are keep what they have.
    pub(crate) async fn follow(self: Arc<Self>, shared: Arc<Shared>) {
        let mut seen = self.at_start.clone();
        let look = async {
            loop {
                tokio::time::sleep(CERTIFICATES_LOOK_EVERY).await;
                let now = stamp(&self.files);
                if now == seen {
                    continue;
                }
                match load(&self.files) {
                    Ok(certificates) => {
                        self.current.store(Arc::new(certificates));
                        tracing::info!("certificates read again");
                    }
                    // A certificate and its key change one after the other.
                    Err(why) => {
                        tracing::warn!(why, "certificates changed and cannot be used: the old ones stay");
                    }
                }
                seen = now;
            }
        };
        tokio::select! {
            () = look => {}
            () = stopped(shared.stopping()) => {}
        }
    }
}

fn stamp(files: &[CertificateConfig]) -> Stamp {
    let of = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    files.iter().flat_map(|files| [of(&files.chain), of(&files.key)]).collect()
}

impl ResolvesServerCert for Keyring {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificates = self.current.load();
        let named = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            let above = name.split_once('.').map(|(_, above)| format!("*.{above}"));
            let exact = certificates.by_name.get(&name);
            exact.or_else(|| certificates.by_name.get(&above?)).cloned()
        });
        named.or_else(|| certificates.first.clone())
    }
}

fn load(files: &[CertificateConfig]) -> Result<Certificates, String> {
    let mut certificates = Certificates::default();
    for file in files {
        let (names, key) = read(&file.chain, &file.key)?;
        for name in names {
            // The first file that has a name is the one for it.
            certificates.by_name.entry(name).or_insert_with(|| Arc::clone(&key));
        }
        certificates.first.get_or_insert(key);
    }
    Ok(certificates)
}

fn read(chain: &Path, key: &Path) -> Result<(Vec<String>, Arc<CertifiedKey>), String> {
    let of = |path: &Path, what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect)
        .map_err(|error| of(chain, &error))?;
    let Some(own) = certificates.first() else { return Err(of(chain, &"no certificate in it")) };
    let names = webpki::EndEntityCert::try_from(own).map_err(|error| of(chain, &error))?;
    let names = names.valid_dns_names().map(str::to_ascii_lowercase).collect();
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| of(key, &error))?;
    let private = ring::sign::any_supported_type(&private).map_err(|error| of(key, &error))?;
    let certified = CertifiedKey::new(certificates, private);
    certified.keys_match().map_err(|_| of(key, &"not the key of the certificate"))?;
    Ok((names, Arc::new(certified)))
}
