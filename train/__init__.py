"""From a register of photos to a trained run. Stands on `mobile_assets`."""
