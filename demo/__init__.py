"""The main job without any account: an emulated Microsoft 365 tenant, the gateway, and mail that goes its whole way."""
