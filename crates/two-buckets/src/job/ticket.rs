use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use two_buckets_objects::VersionRef;

/// What sets the key of tickets apart from all else that is derived from the root key.
const PURPOSE: &[u8] = b"two-buckets job ticket 1";

/// Makes and checks the tickets of jobs: HMAC-SHA-256 of a version's name under a key derived from the root key.
///
/// A ticket is good for its version only, and for nothing but a job's calls. Nothing is kept of it: it is the same after
/// every start of the server, and another once the root key is.
#[derive(Clone)]
pub(crate) struct Tickets(Hmac<Sha256>);

impl Tickets {
    /// Those of this root key's secret half.
    pub(crate) fn new(secret_access_key: &str) -> Self {
        let root = Self::keyed(secret_access_key.as_bytes());
        let key = root.chain_update(PURPOSE).finalize().into_bytes();
        Self(Self::keyed(&key))
    }

    fn keyed(key: &[u8]) -> Hmac<Sha256> {
        Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
    }

    /// The ticket of a version.
    pub(crate) fn of(&self, at: &VersionRef) -> String {
        hex::encode(self.signed(at).finalize().into_bytes())
    }

    /// Whether this is the ticket of this version, found in a time that says nothing of how much of it is right.
    pub(crate) fn check(&self, at: &VersionRef, ticket: &str) -> bool {
        hex::decode(ticket).is_ok_and(|ticket| self.signed(at).verify_slice(&ticket).is_ok())
    }

    /// What an answer to this number proves: whoever gives it has the root key.
    pub(crate) fn proof(&self, nonce: &str) -> String {
        hex::encode(self.proving(nonce).finalize().into_bytes())
    }

    /// Whether this is the proof for this number.
    pub(crate) fn is_proof(&self, nonce: &str, proof: &str) -> bool {
        hex::decode(proof).is_ok_and(|proof| self.proving(nonce).verify_slice(&proof).is_ok())
    }

    fn proving(&self, nonce: &str) -> Hmac<Sha256> {
        // No version's name begins so: the length of its bucket's name comes first.
        self.0.clone().chain_update(b"answer").chain_update(nonce)
    }

    fn signed(&self, at: &VersionRef) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [at.bucket.as_str(), at.key.as_str(), at.version_id.as_str()] {
            // With its length before it no part can reach into the next.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use two_buckets_objects::VersionId;

    fn at(bucket: &str, key: &str, version: &str) -> VersionRef {
        VersionRef {
            bucket: bucket.parse().unwrap(),
            key: key.parse().unwrap(),
            version_id: VersionId::new(version),
        }
    }

    #[test]
    fn a_ticket_is_good_for_its_version_and_root_key_only() {
        let (tickets, others) = (Tickets::new("secret"), Tickets::new("another"));
        let mine = at("staging", "a", "1");
        let ticket = tickets.of(&mine);
        assert!(tickets.check(&mine, &ticket));
        assert!(Tickets::new("secret").check(&mine, &ticket));
        assert!(!others.check(&mine, &ticket));
        for other in [
            at("archive", "a", "1"),
            at("staging", "b", "1"),
            at("staging", "a", "2"),
            at("staging", "a1", ""),
        ] {
            assert!(!tickets.check(&other, &ticket), "{other:?}");
        }
        let proof = tickets.proof("1");
        assert!(tickets.is_proof("1", &proof) && !tickets.is_proof("2", &proof));
        assert!(!others.is_proof("1", &proof) && !tickets.check(&mine, &proof));
        for bad in ["", "zz", &ticket[..62], &format!("{ticket}00")] {
            assert!(!tickets.check(&mine, bad), "{bad}");
        }
    }
}
