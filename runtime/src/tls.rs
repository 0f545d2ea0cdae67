//! Which cryptography TLS uses.

/// Makes aws-lc-rs the process's provider. Call it first in every `main`: with two providers compiled in, TLS panics without a choice.
pub fn install_provider() {
    // An error means that it is installed already.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
}
