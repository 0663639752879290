//! A door as others see it: clients, instances, another proxy. Read first: [`house`].

mod haproxy;
mod house;
mod httpd;
mod inbound;
mod names;
mod proxy;
