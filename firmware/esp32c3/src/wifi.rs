//! The chip's Wi-Fi as a station, open or WPA2-Personal, by esp-radio.

use alloc::string::String;

use embassy_time::{Duration, Timer};
use esp_hal::peripherals::WIFI;
use esp_radio::wifi::sta::StationConfig;
use esp_radio::wifi::{
    AuthenticationMethodConfig, Config, ConnectionError, ControllerConfig, DisconnectReason, Interface, WifiController,
};
use pinrig_app::platform::{JoinError, Medium};

/// The interface as embassy-net takes it.
pub(crate) type Driver = Interface;

/// Between two attempts to reach an access point: it may be busy, or asleep.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The radio; off until the first join.
pub(crate) struct Link {
    radio: Radio,
    joined: Option<Network>,
}

enum Radio {
    Off(Option<WIFI<'static>>),
    On(WifiController<'static>),
}

#[derive(PartialEq, Eq)]
struct Network {
    name: String,
    password: Option<String>,
}

impl Link {
    pub(crate) const MEDIUM: Medium = Medium::Wireless;

    pub(crate) fn new(wifi: WIFI<'static>) -> Self {
        Self {
            radio: Radio::Off(Some(wifi)),
            joined: None,
        }
    }

    /// Switches the radio on. To be called once.
    pub(crate) fn start(&mut self) -> Result<Driver, JoinError> {
        let Radio::Off(wifi) = &mut self.radio else {
            return Err(JoinError::Hardware);
        };
        let wifi = wifi.take().ok_or(JoinError::Hardware)?;
        let controller = WifiController::new(wifi, ControllerConfig::default()).map_err(|_| JoinError::Hardware)?;
        self.radio = Radio::On(controller);
        Interface::try_station().ok_or(JoinError::Hardware)
    }

    /// Associates with the network, trying again for as long as the caller waits, except where the password is wrong.
    pub(crate) async fn join(&mut self, name: &str, password: Option<&str>) -> Result<(), JoinError> {
        let Radio::On(controller) = &mut self.radio else {
            return Err(JoinError::Hardware);
        };
        let network = Network {
            name: name.into(),
            password: password.map(String::from),
        };
        if self.joined.as_ref() == Some(&network) && controller.is_connected() {
            return Ok(());
        }
        if self.joined.take().is_some() && controller.is_connected() {
            let _ = controller.disconnect_async().await;
        }
        let authentication = match password {
            Some(password) => {
                AuthenticationMethodConfig::Wpa2Personal(password.try_into().map_err(|_| JoinError::Refused)?)
            }
            None => AuthenticationMethodConfig::Open,
        };
        let ssid = name.try_into().map_err(|_| JoinError::NotFound)?;
        let station = StationConfig::default()
            .with_ssid(ssid)
            .with_authentication(authentication);
        controller
            .set_config(&Config::Station(station))
            .map_err(|_| JoinError::Hardware)?;
        loop {
            match controller.connect_async().await {
                Ok(_) => {
                    self.joined = Some(network);
                    return Ok(());
                }
                Err(ConnectionError::Failed(info)) if is_refusal(&info.reason) => return Err(JoinError::Refused),
                Err(ConnectionError::WifiError(_)) => return Err(JoinError::Hardware),
                Err(_) => Timer::after(RETRY_AFTER).await,
            }
        }
    }
}

/// The access point is there and does not want this password.
fn is_refusal(reason: &DisconnectReason) -> bool {
    matches!(
        reason,
        DisconnectReason::FourWayHandshakeTimeout
            | DisconnectReason::MicFailure
            | DisconnectReason::_802_1xAuthenticationFailed
    )
}
