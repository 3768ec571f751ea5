CREATE DATABASE ratel CHARACTER SET utf8mb4;
CREATE USER 'ratel'@'%' IDENTIFIED BY 'ratel';
GRANT ALL ON ratel.* TO 'ratel'@'%';
