"""The event store: events become durable rows, texts sealed; rows become events again."""
