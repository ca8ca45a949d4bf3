//! Database URLs as in libpq, but with certificates always verified.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

/// Limit for connecting, including TLS and authentication.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Messages never repeat the URL, which may contain a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseUrlError {
    #[error("invalid store URL or unknown parameter; the form is postgres://muster@db.example.com:5432/muster")]
    Malformed,
    #[error(
        "'sslmode' must be disable, prefer, require, verify-ca or verify-full (require and verify-ca mean verify-full)"
    )]
    InvalidSslMode,
    #[error("cannot read the trusted certificates for the store ('sslrootcert' or those of the system): {0}")]
    RootCertificates(String),
}

/// A database URL. `Display` and `Debug` show neither the password nor the parameters.
#[derive(Clone)]
pub struct DatabaseUrl {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.config.get_user() {
            write!(f, "{user}@")?;
        }
        for (n, host) in self.config.get_hosts().iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{comma}{}", path.display())?,
            }
            let ports = self.config.get_ports();
            if let Some(port) = ports.get(n).or(ports.first()) {
                write!(f, ":{port}")?;
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl DatabaseUrl {
    /// Whether a store is named by a database URL and not by a file.
    pub fn is_database_url(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Parses a URL. Besides the parameters of `tokio-postgres` (several hosts, `target_session_attrs`,
    /// `connect_timeout`, `application_name`, `options`, …) it supports `sslmode` and `sslrootcert`, a PEM file. TLS is
    /// used unless all hosts are local or `sslmode` disables it. `password` applies if the URL has none.
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self, DatabaseUrlError> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots) = (None, None);
        let mut rest = form_urlencoded::Serializer::new(String::new());
        // As in libpq, a plus is not a space.
        let query = query.replace('+', "%2B");
        let has_session_attrs = query.contains("target_session_attrs");
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "sslmode" => mode = Some(value.into_owned()),
                "sslrootcert" => roots = Some(value.into_owned()),
                _ => {
                    rest.append_pair(&name, &value);
                }
            }
        }
        // The driver decodes percent encoding, but not a plus.
        let rest = rest.finish().replace('+', "%20");
        let mut config: Config =
            format!("{base}?{rest}").trim_end_matches('?').parse().map_err(|_| DatabaseUrlError::Malformed)?;
        if config.get_hosts().is_empty() || config.get_dbname().is_none() {
            return Err(DatabaseUrlError::Malformed);
        }
        if let (None, Some(password)) = (config.get_password(), password) {
            config.password(password);
        }
        if config.get_hosts().len() > 1 && !has_session_attrs {
            // Of several hosts, use the writable one; a standby may lag behind.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("muster");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        // Detect a vanished peer within seconds instead of hours.
        config.keepalives_idle(Duration::from_secs(5)).keepalives_interval(Duration::from_secs(2));
        config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(10));
        let mode = match mode.as_deref() {
            None if is_local(&config) => SslMode::Disable,
            Some("disable") => SslMode::Disable,
            Some("prefer") => SslMode::Prefer,
            None | Some("require" | "verify-ca" | "verify-full") => SslMode::Require,
            Some(_) => return Err(DatabaseUrlError::InvalidSslMode),
        };
        config.ssl_mode(mode);
        let tls = if mode == SslMode::Disable { None } else { Some(tls(roots.as_deref())?) };
        Ok(Self { config, tls })
    }

    /// Opens a connection, which a task on the current runtime drives.
    pub(super) async fn connect(&self) -> Result<(Client, AbortHandle), tokio_postgres::Error> {
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            Ok((client, tokio::spawn(connection).abort_handle()))
        } else {
            let (client, connection) = self.config.connect(NoTls).await?;
            Ok((client, tokio::spawn(connection).abort_handle()))
        }
    }
}

fn is_local(config: &Config) -> bool {
    config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "::1") || name.starts_with("127."),
        #[cfg(unix)]
        Host::Unix(_) => true,
    })
}

fn tls(roots: Option<&str>) -> Result<MakeRustlsConnect, DatabaseUrlError> {
    let mut trusted = RootCertStore::empty();
    let bad = |error: &dyn fmt::Display| DatabaseUrlError::RootCertificates(error.to_string());
    if let Some(path) = roots {
        let certificates = CertificateDer::pem_file_iter(path).map_err(|e| bad(&e))?;
        for certificate in certificates {
            trusted.add(certificate.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
        }
    } else {
        trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    if trusted.is_empty() {
        return Err(DatabaseUrlError::RootCertificates("no certificates found".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(&e))?
        .with_root_certificates(trusted)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_no_secret_and_no_error_repeats_it() {
        let address =
            DatabaseUrl::parse("postgres://ann:s3cret@127.0.0.1:5433,localhost/people?application_name=x%20y", None);
        let shown = format!("{0} {0:?}", address.unwrap());
        assert_eq!(shown.matches("postgres://ann@127.0.0.1:5433,localhost:5432/people").count(), 2, "{shown}");
        assert!(!shown.contains("s3cret"));
        for wrong in [
            "postgres://ann:s3cret@host:port/people",
            "postgres://ann:s3?cret@host/people",
            "postgres://ann:s3cret@host/people?sslmode=s3cret",
            "postgres://ann:s3cret@/",
        ] {
            let error = DatabaseUrl::parse(wrong, None).err().unwrap_or_else(|| panic!("{wrong}"));
            assert!(!format!("{error} {error:?}").contains("cret"), "{error}");
        }
    }

    #[test]
    fn tls_is_spoken_unless_the_database_is_here() {
        let mode = |url: &str| DatabaseUrl::parse(url, None).map(|address| address.config.get_ssl_mode());
        assert_eq!(mode("postgres://a@localhost/b").unwrap(), SslMode::Disable);
        assert_eq!(mode("postgres://a@db.example.com/b").unwrap(), SslMode::Require);
        assert_eq!(mode("postgres://a@db.example.com/b?sslmode=disable").unwrap(), SslMode::Disable);
        assert_eq!(mode("postgres://a@localhost/b?sslmode=verify-ca").unwrap(), SslMode::Require);
        assert!(mode("postgres://a@localhost/b?sslmode=require&sslrootcert=/nowhere").is_err());
    }
}
