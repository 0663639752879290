//! A door as others see it: clients, instances, another proxy. Read first: [`house`].

mod haproxy;
mod haproxy_reload;
mod house;
mod httpd;
mod idle;
mod inbound;
mod names;
mod proxy;
