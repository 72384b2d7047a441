"""What watches the service: configuration, rules, dashboard. No part of the package."""
