"""Recurrent video restoration that stays stable on videos of any length."""
