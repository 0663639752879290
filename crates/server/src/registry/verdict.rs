//! What a name server says to an update, and what to do about it.
//!
//! Codes are read from the reply's bytes: a library's "ok" means that there was a reply (BIND refuses with a
//! signed REFUSED, Knot with a NOTAUTH that may have no TSIG record at all).

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::TSigVerifier;
use hickory_proto::rr::rdata::tsig::TsigError;
use leveret_model::limits;

/// What is known of the update that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) zone: &'a str,
    pub(super) key: &'a str,
    /// Seconds since 1970 when it was signed.
    pub(super) signed_at: u64,
}

/// Done, or why not in words that say what to do.
pub(super) fn of_reply(bytes: &[u8], mut verifier: TSigVerifier, asked: Asked<'_>) -> Result<(), String> {
    let reply = Message::from_vec(bytes).map_err(|error| format!("sent a reply without sense: {error}"))?;
    let code = reply.metadata.response_code;
    if code == ResponseCode::NoError {
        return match verifier.verify(bytes) {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "says NOERROR, but not signed with the key {}: another server answers there, or one that checks no keys; nothing it says is believed",
                asked.key
            )),
        };
    }
    Err(refusal(code, &reply, asked))
}

fn refusal(code: ResponseCode, reply: &Message, Asked { zone, key, signed_at }: Asked<'_>) -> String {
    let tsig = reply.signature.as_ref().map(|record| &record.data);
    match (code, tsig.and_then(|tsig| tsig.error)) {
        (ResponseCode::NotAuth, Some(TsigError::BadTime)) => {
            let theirs = tsig.and_then(|tsig| server_time(&tsig.other)).map_or_else(
                || "the clocks differ".to_owned(),
                |theirs| match theirs.checked_sub(signed_at) {
                    Some(ahead) => format!("its clock is {ahead} s ahead of this node's"),
                    None => format!("its clock is {} s behind this node's", signed_at - theirs),
                },
            );
            format!(
                "says BADTIME: {theirs}, {} s are allowed; set both clocks (chrony, systemd-timesyncd)",
                limits::TSIG_FUDGE_S
            )
        }
        (ResponseCode::NotAuth, Some(TsigError::BadSig)) => {
            format!("says BADSIG: its secret for the key {key} is another one; give both the same key file")
        }
        (ResponseCode::NotAuth, Some(TsigError::BadKey | TsigError::BadTrunc)) => format!(
            "says BADKEY: it does not know the key {key} with this algorithm, or the key may not do this (Knot says so too); compare the key's name and algorithm with the server's configuration"
        ),
        (ResponseCode::NotAuth, _) => format!(
            "says NOTAUTH: it is not the primary of {zone}, or the key {key} may not change it (Knot: acl with action update; it says so of an unknown key too); see --dns-primary and the server's log"
        ),
        (ResponseCode::Refused, _) => format!(
            "says REFUSED: the key {key} may not change this name (BIND: update-policy), or {zone} is frozen (rndc thaw), or it is a secondary; see the server's log"
        ),
        (ResponseCode::ServFail, _) =>
            "says SERVFAIL: it could not store the change; with 100 addresses under one name that is BIND's max-records-per-type (0 lifts it), else see the server's log (journal, disk, permissions of its directory)".to_owned(),
        (ResponseCode::NotZone, _) => {
            format!("says NOTZONE: a name lies outside of {zone}; see --dns-update and --dns-client-name")
        }
        (ResponseCode::NotImp, _) => "says NOTIMP: it has no dynamic updates; see --dns-primary".to_owned(),
        (ResponseCode::FormErr, _) => {
            "says FORMERR: it does not understand the update; see its log and version".to_owned()
        }
        (code, _) => format!("says {code}; see the server's log"),
    }
}

/// RFC 8945 §5.2.3: 48 bits in "other data".
fn server_time(other: &[u8]) -> Option<u64> {
    (other.len() == 6).then(|| other.iter().fold(0, |time, byte| time << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::Name;
    use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm, make_tsig_record};

    use super::*;

    const ASKED: Asked<'_> = Asked { zone: "cloud.test.", key: "k.", signed_at: 1_000_000 };

    fn said(code: ResponseCode, error: Option<TsigError>, other: &[u8]) -> String {
        let mut reply = Message::new(7, MessageType::Response, OpCode::Update);
        reply.metadata.response_code = code;
        if error.is_some() {
            let tsig = TSIG::new(TsigAlgorithm::HmacSha256, 1, 300, Vec::new(), 7, error, other.to_vec());
            reply.set_signature(Box::new(make_tsig_record(Name::root(), tsig)));
        }
        refusal(code, &reply, ASKED)
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (code, error, text) in [
            (ResponseCode::NotAuth, Some(TsigError::BadSig), "give both the same key file"),
            (ResponseCode::NotAuth, Some(TsigError::BadKey), "compare the key's name"),
            (ResponseCode::NotAuth, None, "--dns-primary"),
            (ResponseCode::Refused, None, "update-policy"),
            (ResponseCode::ServFail, None, "max-records-per-type"),
            (ResponseCode::NotZone, None, "--dns-client-name"),
            (ResponseCode::NotImp, None, "no dynamic updates"),
            (ResponseCode::FormErr, None, "does not understand"),
            (ResponseCode::YXRRSet, None, "server's log"),
        ] {
            let said = said(code, error, b"");
            assert!(said.contains(text) && !said.contains('\n'), "{code}: {said}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_is_said_with_how_much_and_which_way() {
        let time = |time: u64| time.to_be_bytes()[2..].to_vec();
        let bad = |other: &[u8]| said(ResponseCode::NotAuth, Some(TsigError::BadTime), other);
        assert!(bad(&time(1_003_600)).contains("3600 s ahead"), "{}", bad(&time(1_003_600)));
        assert!(bad(&time(999_000)).contains("1000 s behind"), "{}", bad(&time(999_000)));
        assert!(bad(b"").contains("the clocks differ"));
    }
}
