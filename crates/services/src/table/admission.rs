//! Whom a table takes: announcements are claims of strangers.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use leveret_model::limits::{INSTANCES_MAX, INSTANCES_PER_USER_MAX, SERVICES_MAX};

use super::Table;
use super::events::{RowKey, TableEffect, TableNote};
use crate::announcement::Announcement;

impl Table {
    pub(super) fn may_take(
        &self,
        announcement: &Announcement,
        user: &str,
        key: &RowKey,
    ) -> Result<(), String> {
        if let Some(address) = announcement.address {
            self.config.fence.check(address).map_err(ToString::to_string)?;
        }
        let full = |what: &str, most: usize| Err(alloc::format!("there are {most} {what} already"));
        if let Some(row) = self.rows.get(key) {
            // A row counts for the user who made it; another one may take it over only if there is room for
            // it.
            let room = self.users.get(user).is_none_or(|count| *count < INSTANCES_PER_USER_MAX);
            return if row.user == user || room {
                Ok(())
            } else {
                full("instances of its user", INSTANCES_PER_USER_MAX)
            };
        }
        if self.rows.len() >= INSTANCES_MAX {
            return full("instances", INSTANCES_MAX);
        }
        if self.users.get(user).is_some_and(|count| *count >= INSTANCES_PER_USER_MAX) {
            return full("instances of its user", INSTANCES_PER_USER_MAX);
        }
        if self.services.len() >= SERVICES_MAX && !self.services.contains_key(&key.0) {
            return full("services", SERVICES_MAX);
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, key: &RowKey, user: &str, why: String, effects: &mut Vec<TableEffect>) {
        // At the bound nothing more is said: who has so many users is not helped by the thousandth line.
        let room = self.refused_users.len() < INSTANCES_PER_USER_MAX;
        if let Some((_, still)) = self.refused_users.get_mut(user).filter(|(refused, _)| refused == key) {
            *still = Some(why);
        } else if room && !self.refused_users.contains_key(user) {
            self.refused_users.insert(user.into(), (key.clone(), Some(why.clone())));
            effects.push(TableEffect::Note(TableNote::Refused(key.clone(), why)));
        }
    }
}
