"""Runs on a cluster: submits, schedules, lists, follows and cancels them through kfp.Client."""
