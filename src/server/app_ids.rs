//! The numbers by which the hub knows the apps of the settings.

use crate::hub::AppId;
use crate::options::Config;
use std::collections::BTreeMap;
use std::fmt;

/// The highest number that an app of the settings may have; the others are for apps of the store,
/// which are counted from the other end.
const NUMBERS_MAX: u16 = u16::MAX / 2;

/// Which app has which number. [`AppId::FIRST`] is nobody's but Channelstream's own and the host
/// program's; apps of the settings are counted from one, in the order in which they are first seen.
///
/// A number belongs to an id for as long as the process lives, over every reload: whoever is
/// connected stays in the world it joined, however the apps change places in the file, and an app
/// that is new never finds the channels of one that is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppIds {
    numbers: BTreeMap<String, AppId>,
}

/// No number is left for another app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyApps;

impl fmt::Display for TooManyApps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = NUMBERS_MAX;
        write!(
            f,
            "there have been {most} apps since the start, and there are no numbers for more; a \
             restart is needed"
        )
    }
}

impl std::error::Error for TooManyApps {}

impl AppIds {
    /// Those of a server that starts with these settings.
    pub fn of(config: &Config) -> Self {
        let mut ids = Self::default();
        // Settings name far fewer apps than there are numbers.
        let learned = ids.learn(config);
        debug_assert!(learned.is_ok(), "there are more numbers than apps");
        ids
    }

    /// Gives numbers to the apps that have none yet, to all or to none of them.
    ///
    /// # Errors
    /// When the numbers are used up.
    pub fn learn(&mut self, config: &Config) -> Result<(), TooManyApps> {
        let is_new = |id: &&str| !self.numbers.contains_key(*id);
        let ids = config.apps.iter().map(|app| app.id.as_str());
        let new: Vec<&str> = ids.filter(is_new).collect();
        // Numbers are never given back, so those that are known are as many as are taken.
        let known = self.numbers.len();
        if known + new.len() > usize::from(NUMBERS_MAX) {
            return Err(TooManyApps);
        }
        for (id, number) in new.into_iter().zip(known + 1..) {
            let number = AppId(u16::try_from(number).map_err(|_| TooManyApps)?);
            self.numbers.insert(id.to_owned(), number);
        }
        Ok(())
    }

    /// The number of the app with this id, if it was ever among the settings.
    pub fn get(&self, id: &str) -> Option<AppId> {
        self.numbers.get(id).copied()
    }

    /// The app that Channelstream lives in.
    pub fn of_channelstream(&self, config: &Config) -> AppId {
        let id = config.channelstream.app.as_str();
        if id.is_empty() {
            return AppId::FIRST;
        }
        // Checked settings name an app that is among them.
        self.get(id).unwrap_or(AppId::FIRST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::App;

    fn with_apps(ids: &[&str]) -> Config {
        let app = |id: &&str| App {
            id: (*id).to_owned(),
            ..App::default()
        };
        Config {
            apps: ids.iter().map(app).collect(),
            ..Config::default()
        }
    }

    fn numbers(ids: &AppIds, of: &[&str]) -> Vec<Option<u16>> {
        of.iter().map(|id| ids.get(id).map(|app| app.0)).collect()
    }

    #[test]
    fn numbers_stay_and_are_never_used_again() {
        let mut ids = AppIds::of(&with_apps(&["b", "a"]));
        assert_eq!(numbers(&ids, &["a", "b", "c"]), [Some(2), Some(1), None]);
        // Apps change places, one goes, one comes.
        ids.learn(&with_apps(&["c", "b"])).expect("numbers");
        assert_eq!(numbers(&ids, &["a", "b", "c"]), [Some(2), Some(1), Some(3)]);
        // It comes back to its own world, and the next is not taken for it.
        ids.learn(&with_apps(&["d", "a"])).expect("numbers");
        assert_eq!(numbers(&ids, &["a", "d"]), [Some(2), Some(4)]);
        let same = ids.clone();
        ids.learn(&with_apps(&[])).expect("numbers");
        assert_eq!(ids, same);
    }

    #[test]
    fn the_first_world_is_channelstreams_unless_it_shares_one() {
        let mut config = with_apps(&["7", "8"]);
        let ids = AppIds::of(&config);
        assert_eq!(ids.of_channelstream(&config), AppId::FIRST);
        config.channelstream.app = "8".to_owned();
        assert_eq!(ids.of_channelstream(&config), AppId(2));
    }

    #[test]
    fn numbers_run_out_for_all_or_none() {
        let names: Vec<String> = (0..u32::from(NUMBERS_MAX) - 1)
            .map(|number| number.to_string())
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut ids = AppIds::of(&with_apps(&names));
        let two = with_apps(&["x", "y"]);
        assert_eq!(ids.learn(&two), Err(TooManyApps));
        assert_eq!(numbers(&ids, &["x", "y"]), [None, None]);
        ids.learn(&with_apps(&["x"])).expect("the last number");
        assert_eq!(numbers(&ids, &["x"]), [Some(NUMBERS_MAX)]);
        ids.learn(&with_apps(&["x", "0"])).expect("known ones");
        assert_eq!(ids.learn(&with_apps(&["y"])), Err(TooManyApps));
    }
}
