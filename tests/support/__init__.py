"""What tests share: golden numbers, and the detector's arithmetic a second time in plain numpy."""
