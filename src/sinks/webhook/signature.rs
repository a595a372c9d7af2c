//! The signature of [Standard
//! Webhooks](https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md):
//! HMAC-SHA256 of `ID.TIMESTAMP.BODY`.

use anyhow::{Result, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::secret::Secret;

/// A key that signs messages.
pub struct Key(hmac::Key);

impl Key {
    /// Takes the secret as the specification writes it: `whsec_` and 24 to 64 bytes in base64.
    ///
    /// # Errors
    /// If it is something else. The text does not repeat it.
    pub fn parse(secret: &Secret) -> Result<Self> {
        let text = secret.expose();
        let bytes = STANDARD.decode(text.strip_prefix("whsec_").unwrap_or(text)).map_err(|_| {
            anyhow!("expected a secret such as `printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\"` makes, but this is not base64")
        })?;
        ensure!(
            (24..=64).contains(&bytes.len()),
            "expected a secret of 24 to 64 bytes, found {}",
            bytes.len()
        );
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// Returns the headers that prove to a receiver that a message is ours, new and whole.
    pub fn headers(&self, id: &str, unix: u64, body: &[u8]) -> [(&'static str, String); 3] {
        let mut signing = hmac::Context::with_key(&self.0);
        signing.update(format!("{id}.{unix}.").as_bytes());
        signing.update(body);
        let signature = STANDARD.encode(signing.sign());
        [
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", unix.to_string()),
            ("webhook-signature", format!("v1,{signature}")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::Key;
    use crate::host::Host;
    use crate::secret::SecretSource;

    fn key(text: &str) -> anyhow::Result<Key> {
        let dir = tempfile::tempdir()?;
        std::fs::write(dir.path().join("secret"), text)?;
        let source = SecretSource::required("secret", Some("secret".into()), None).unwrap();
        Key::parse(&source.read(&Host::new("/", dir.path()))?)
    }

    #[test]
    fn the_example_of_the_specification_has_its_signature() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let [id, time, signature] = key.headers(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(id.1, "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(time.1, "1614265330");
        assert_eq!(
            signature,
            (
                "webhook-signature",
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()
            )
        );
    }

    #[test]
    fn a_secret_that_is_none_is_not_repeated() {
        for (text, why) in [
            ("hush hush", "base64"),
            ("whsec_aHVzaA==", "24 to 64 bytes, found 4"),
        ] {
            let error = key(text).err().unwrap().to_string();
            assert!(
                error.contains(why) && !error.contains("hush") && !error.contains("aHVza"),
                "{error}"
            );
        }
    }
}
