//! Questions in, records out, in hickory's server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use hickory_proto::op::{Edns, Header, HeaderCounts, Metadata, OpCode, ResponseCode};
use hickory_proto::rr::Record;
use hickory_server::net::runtime::Time;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;
use leveret_model::limits::DNS_UDP_ANSWER_BYTES_MAX;

use super::zone::{Said, Zone};

/// Answers from the newest zone.
pub(super) struct Handler {
    zone: Arc<ArcSwap<Zone>>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Answer {
    code: ResponseCode,
    answers: Vec<Record>,
    additional: Vec<Record>,
    soa: Option<Record>,
}

impl Handler {
    pub(super) fn new(zone: Arc<ArcSwap<Zone>>) -> Self {
        Self { zone, turn: AtomicUsize::new(0) }
    }

    fn answer(&self, request: &Request) -> Answer {
        if request.metadata.op_code != OpCode::Query {
            return Answer { code: ResponseCode::NotImp, ..Answer::default() };
        }
        let Ok(info) = request.request_info() else {
            return Answer { code: ResponseCode::FormErr, ..Answer::default() };
        };
        let zone = self.zone.load();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        match zone.say(info.query.name(), info.query.query_type(), turn) {
            Said::Records { answers, additional } => {
                // "None of that type" is remembered as long as the SOA says.
                let soa = answers.is_empty().then(|| zone.soa());
                Answer { answers, additional, soa, ..Answer::default() }
            }
            Said::NoSuchName => {
                Answer { code: ResponseCode::NXDomain, soa: Some(zone.soa()), ..Answer::default() }
            }
            Said::NotOurs => Answer { code: ResponseCode::Refused, ..Answer::default() },
        }
    }
}

#[async_trait::async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut handle: R,
    ) -> ResponseInfo {
        let answer = self.answer(request);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = answer.code != ResponseCode::Refused;
        metadata.response_code = answer.code;
        let mut edns = Edns::new();
        edns.set_max_payload(request.max_payload().clamp(512, DNS_UDP_ANSWER_BYTES_MAX));
        let mut builder = MessageResponseBuilder::from_message_request(request);
        if request.edns.is_some() {
            builder.edns(&edns);
        }
        let response = builder.build(metadata, &answer.answers, [], &answer.soa, &answer.additional);
        match handle.send_response(response).await {
            Ok(info) => info,
            // Who asked may be gone.
            Err(_) => ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() }),
        }
    }
}
