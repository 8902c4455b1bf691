//! `--allow-targets`, `--deny-targets`: each element is checked as it is read, by the policy that will use it.

use health_probes::connect::AddressPolicy;

/// Takes one element of a target list.
///
/// # Errors
/// What is wrong with it, and what to write.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let text = text.trim();
    AddressPolicy::new(&[text], &[]).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_addresses_names_and_patterns_are_read() {
        for text in ["10.0.0.0/8", "fd00::/8", "127.0.0.1", "::1", "db.internal", "*.internal"] {
            assert_eq!(parse(text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_the_forms() {
        for text in ["10.0.0.0/33", "10.0.0.0/x", "http://a", "a b"] {
            assert!(parse(text).unwrap_err().contains("write a CIDR"), "{text}");
        }
    }
}
