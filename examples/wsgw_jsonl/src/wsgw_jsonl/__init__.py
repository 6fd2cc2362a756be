"""A backend plugin for wsgw: sessions go to an application as JSON lines over TCP."""
