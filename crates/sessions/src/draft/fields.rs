//! Commands on attributes (Redis 7.0: `t_hash.c`), each field by itself (S4).

use alloc::vec::Vec;

use leveret_model::limits;
use leveret_model::session::{Answer, ByteList, KeptAnswer, KeyCommand, SessionRefusal};

use crate::attributes::{Attribute, Attributes, Changed, Edits, check_name, is_hidden};
use crate::content::Content;
use crate::draft::{Draft, Now, Value, WRONG_TYPE};
use crate::time::Deadline;

/// Attributes with what the draft has changed in them.
pub(super) struct View<'s> {
    pub(super) base: Attributes<'s>,
    pub(super) edits: Edits<'s>,
}

impl<'s> View<'s> {
    fn get(&self, name: &[u8]) -> Option<&'s [u8]> {
        if is_hidden(name) { None } else { self.edits.get(self.base, name) }
    }

    fn visible(&self) -> Vec<Attribute<'s>> {
        let mut all = self.edits.alive(self.base, Changed::FIRST);
        all.retain(|attribute| !is_hidden(attribute.name));
        all
    }
}

/// Where attributes may be set.
enum Ground<'s> {
    /// There, or to begin.
    Free(View<'s>, Deadline),
    /// The session has ended: the write is too late.
    Late,
    /// There is a string.
    String,
}

impl<'s, 'c: 's> Draft<'s, 'c> {
    /// `Ok(None)`: nothing is there.
    ///
    /// # Errors
    /// There is a string.
    pub(super) fn view(&self) -> Result<Option<View<'s>>, SessionRefusal> {
        let Now::Alive { value, .. } = &self.now else { return Ok(None) };
        match value {
            Value::Old(Content::Attributes(base)) => Ok(Some(View { base: *base, edits: Edits::default() })),
            Value::Edited { base, edits } => Ok(Some(View { base: *base, edits: edits.clone() })),
            Value::Old(Content::String(_)) | Value::String(_) => Err(SessionRefusal::WrongType),
        }
    }

    /// One field, or how many: of a session that is there.
    pub(super) fn read_field(&self, command: &KeyCommand<'_>) -> Answer<'s> {
        let Ok(Some(view)) = self.view() else { return WRONG_TYPE };
        match *command {
            KeyCommand::Field(name) => view.get(name).map_or(Answer::Nil, Answer::Bytes),
            KeyCommand::HasField(name) => Answer::Integer(view.get(name).is_some().into()),
            _ => Answer::Integer(view.visible().len() as i64),
        }
    }

    /// Several fields. `None`: the command answers with one thing.
    pub(crate) fn read_list(&self, command: &KeyCommand<'_>) -> Option<KeptAnswer> {
        if let KeyCommand::Load { since, touch_ms } = *command {
            return Some(self.load(since, touch_ms));
        }
        let view = match command {
            KeyCommand::Fields(_) | KeyCommand::AllFields | KeyCommand::FieldNames => self.view(),
            _ => return None,
        };
        let view = match view {
            Ok(view) => view,
            Err(why) => return Some(KeptAnswer::Refused(why)),
        };
        let all = || view.as_ref().map_or_else(Vec::new, View::visible);
        Some(match *command {
            KeyCommand::Fields(names) => some_values(view.as_ref(), names),
            KeyCommand::AllFields => {
                let pairs = all().into_iter().flat_map(|attribute| [attribute.name, attribute.value]);
                KeptAnswer::Map(pairs.map(|bytes| KeptAnswer::Bytes(bytes.into())).collect())
            }
            _ => KeptAnswer::List(
                all().iter().map(|attribute| KeptAnswer::Bytes(attribute.name.into())).collect(),
            ),
        })
    }

    fn ground(&self) -> Ground<'s> {
        let empty = || View { base: Attributes::NONE, edits: Edits::default() };
        match (&self.now, self.view()) {
            (_, Err(_)) => Ground::String,
            (Now::Alive { deadline, .. }, Ok(Some(view))) => Ground::Free(view, *deadline),
            (Now::Gone { may_begin: false }, _) => Ground::Late,
            _ => Ground::Free(empty(), Deadline::NEVER),
        }
    }

    /// `HSET` and its relatives.
    pub(super) fn take_fields(&mut self, command: &KeyCommand<'c>) -> KeptAnswer {
        match *command {
            KeyCommand::SetFields { fields, counts } => {
                let said = |new: i64| if counts { KeptAnswer::Integer(new) } else { KeptAnswer::Ok };
                let (view, deadline) = match self.ground() {
                    Ground::Free(view, deadline) => (view, deadline),
                    Ground::Late => {
                        self.dropped = true;
                        return said(0);
                    }
                    Ground::String => return WRONG_TYPE.keep(),
                };
                let names = fields.iter().step_by(2);
                let mut new = 0;
                let done = self.edit(view, deadline, |view| {
                    for (name, value) in names.zip(fields.iter().skip(1).step_by(2)) {
                        check_name(name)?;
                        new += i64::from(view.edits.get(view.base, name).is_none());
                        view.edits.set(name, Some(value));
                    }
                    Ok(())
                });
                done.map_or_else(KeptAnswer::Refused, |()| said(new))
            }
            KeyCommand::SetNewField { name, value } => match self.ground() {
                Ground::Free(view, _) if view.get(name).is_some() => KeptAnswer::Integer(0),
                Ground::Free(view, deadline) => {
                    let done = self.edit(view, deadline, |view| {
                        check_name(name)?;
                        view.edits.set(name, Some(value));
                        Ok(())
                    });
                    done.map_or_else(KeptAnswer::Refused, |()| KeptAnswer::Integer(1))
                }
                Ground::Late => {
                    self.dropped = true;
                    KeptAnswer::Integer(0)
                }
                Ground::String => WRONG_TYPE.keep(),
            },
            KeyCommand::RemoveFields(names) => self.remove_fields(names),
            _ => unreachable!("the caller takes only these for fields"),
        }
    }

    fn remove_fields(&mut self, names: ByteList<'c>) -> KeptAnswer {
        if matches!(self.now, Now::Gone { may_begin: false }) {
            self.dropped = true;
            return KeptAnswer::Integer(0);
        }
        let mut view = match self.view() {
            Ok(Some(view)) => view,
            Ok(None) => return KeptAnswer::Integer(0),
            Err(why) => return KeptAnswer::Refused(why),
        };
        let mut removed = 0;
        for name in names.iter().filter(|name| !is_hidden(name)) {
            if view.get(name).is_some() {
                view.edits.set(name, None);
                removed += 1;
            }
        }
        if removed > 0 && view.visible().is_empty() {
            // Redis keeps no empty hash
            self.destroy();
        } else if removed > 0 {
            self.put(view, None);
        }
        KeptAnswer::Integer(removed)
    }

    /// Edits that may be too large: then none of them is made.
    pub(super) fn edit(
        &mut self,
        mut view: View<'s>,
        deadline: Deadline,
        change: impl FnOnce(&mut View<'s>) -> Result<(), SessionRefusal>,
    ) -> Result<(), SessionRefusal> {
        change(&mut view)?;
        view.edits.check(view.base, self.bytes_max)?;
        self.put(view, Some(deadline));
        Ok(())
    }

    fn put(&mut self, view: View<'s>, new: Option<Deadline>) {
        let before = match &self.now {
            Now::Alive { deadline, .. } => *deadline,
            _ => Deadline::NEVER,
        };
        let value = Value::Edited { base: view.base, edits: view.edits };
        self.now = Now::Alive { value, deadline: new.unwrap_or(before) };
    }
}

/// `HMGET`: the same field may be asked for a thousand times.
fn some_values(view: Option<&View<'_>>, names: ByteList<'_>) -> KeptAnswer {
    let mut bytes = 0;
    let values: Vec<KeptAnswer> = names
        .iter()
        .map_while(|name| {
            let value = view.and_then(|view| view.get(name));
            bytes += value.map_or(0, <[u8]>::len);
            let fits = bytes <= limits::RESP_ANSWER_BYTES_MAX;
            fits.then(|| value.map_or(KeptAnswer::Nil, |value| KeptAnswer::Bytes(value.into())))
        })
        .collect();
    if values.len() < names.len() {
        KeptAnswer::Refused(SessionRefusal::AnswerTooLarge)
    } else {
        KeptAnswer::List(values)
    }
}
