//! Names of services, instances and doors: DNS labels in lower case, so that they fit into routing keys,
//! topic permissions, host names and the names of other proxies' servers.

use core::fmt;

use compact_str::CompactString;
use leveret_model::limits::SERVICE_NAME_BYTES_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A name that is none. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a name: 1 to {SERVICE_NAME_BYTES_MAX} of a-z, 0-9 and -")]
pub struct NameError;

fn check(text: &str) -> Result<(), NameError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let length = (1..=SERVICE_NAME_BYTES_MAX).contains(&text.len());
    if length && text.bytes().all(fits) { Ok(()) } else { Err(NameError) }
}

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(CompactString);

        impl $name {
            /// The name, if it is one.
            ///
            /// # Errors
            /// [`NameError`] if it is not `[a-z0-9-]{1,63}`.
            pub fn new(text: &str) -> Result<Self, NameError> {
                check(text)?;
                Ok(Self(CompactString::new(text)))
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = CompactString::deserialize(deserializer)?;
                check(&text).map_err(de::Error::custom)?;
                Ok(Self(text))
            }
        }
    )+};
}

names! {
    /// What several instances offer alike: `shop`.
    ServiceName;
    /// One process of a service; unique among its service's.
    InstanceName;
    /// A proxy, a driver of one, or a DNS responder.
    DoorName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_lower_case_dns_label() {
        for good in ["a", "shop", "shop-7f3a", "0", &"x".repeat(63)] {
            assert!(ServiceName::new(good).is_ok(), "{good}");
        }
        for bad in ["", "Shop", "a.b", "a_b", "a b", "a\n", "é", &"x".repeat(64)] {
            assert!(ServiceName::new(bad).is_err(), "{bad}");
        }
    }
}
