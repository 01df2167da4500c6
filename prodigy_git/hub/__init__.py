"""The hub: a PostgreSQL database that joins the hosts on which agents work on the same jobs.

Nothing of it is imported where none is configured, and no hook imports any of it.
"""
