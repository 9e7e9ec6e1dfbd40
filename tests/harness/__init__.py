"""What tests start and ask: servers, scripts, sites, clients."""
