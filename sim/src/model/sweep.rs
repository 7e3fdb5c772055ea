//! The sweep, one call of store or ledger a step, by the real decisions: the model's counterpart of `pipeline`'s `sweep.rs`.

use two_buckets_pipeline::{KeySeen, Overdue};

use super::bugs;
use super::configuration::{Configuration, KEYS};
use super::world::{Decided, Sweeping, World, key_of, object};

impl World {
    /// Takes the sweep's next step; none if no sweep is under way.
    pub(super) fn sweep_step(&mut self, config: &Configuration) -> Option<()> {
        let step = self.sweeping.take()?;
        self.sweeping = match step {
            Sweeping::See { key } => match self.see(config, key) {
                Some(decision) => Some(Sweeping::Apply { key, decision }),
                None => self.after_key(key),
            },
            Sweeping::Apply { key, decision } => {
                self.apply(key, decision);
                self.after_key(key)
            }
            Sweeping::Walk => {
                self.walk();
                self.after_walk()
            }
            Sweeping::Look => self.expected().map(|row| key_of(&row.key)).map(|key| {
                let has_come = self.has_unnoted(key);
                Sweeping::Act { has_come }
            }),
            Sweeping::Act { has_come } => {
                self.act(has_come);
                None
            }
        };
        Some(())
    }

    /// Lists a key and decides.
    fn see(&mut self, config: &Configuration, key: usize) -> Option<Decided> {
        let mut seen = KeySeen::new(object(key).key, bugs::looks(config));
        let mut newest = self.watermark;
        for entry in self.list(config, key) {
            if entry.key != seen.key {
                break;
            }
            if bugs::passes_over(config.bug, self.watermark, &entry) {
                continue;
            }
            newest = newest.max(entry.last_modified.millis());
            if entry.is_delete_marker {
                seen.see_marker(entry.version_id);
            } else if !seen.is_decided() {
                seen.see_version(self.row_of(entry.version_id.as_str()), self.time());
            }
        }
        self.watermark = bugs::watermark(config.bug, newest);
        Decided::of(seen.decide())
    }

    fn apply(&mut self, key: usize, decision: Decided) {
        match decision {
            Decided::RemoveMarkers(markers) => {
                self.staging.retain(|entry| {
                    !entry.is_delete_marker || !markers.contains(&entry.version_id)
                });
            }
            // Its holder looks again by itself.
            Decided::Wake if self.leases[key].is_some() => {}
            Decided::Wake => self.wake(key, 1),
        }
    }

    fn after_key(&self, key: usize) -> Option<Sweeping> {
        if key + 1 < KEYS.len() {
            Some(Sweeping::See { key: key + 1 })
        } else if self.rows.iter().any(|row| row.is_unfinished()) {
            Some(Sweeping::Walk)
        } else {
            self.after_walk()
        }
    }

    fn after_walk(&self) -> Option<Sweeping> {
        self.expected().map(|_| Sweeping::Look)
    }

    /// A turn is taken on each key of which an unfinished row's version is gone.
    fn walk(&mut self) {
        for row in &self.rows {
            let is_there = row
                .version()
                .is_none_or(|version| self.staged(version.version_id.as_str()).is_some());
            if row.is_unfinished() && !is_there {
                self.gone_wakes[key_of(&row.key)] = true;
            }
        }
    }

    fn act(&mut self, has_come: bool) {
        let now = self.time();
        let Some((id, key)) = self
            .rows
            .iter()
            .find(|row| row.minted)
            .map(|row| (row.id.clone(), key_of(&row.key)))
        else {
            return;
        };
        match Overdue::of(has_come, false) {
            Overdue::Wake => self.wake(key, 1),
            Overdue::Leave => {}
            Overdue::Expire => self.change(&id, |row| row.expire(now)),
        }
    }
}
